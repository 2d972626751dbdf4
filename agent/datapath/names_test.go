package datapath

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
)

func TestSymbols(t *testing.T) {
	s := newSymbols()
	s.path = filepath.Join(t.TempDir(), "kallsyms")
	text := "0000000000000000 A fixed_percpu_data\n" +
		"ffffffff81000000 T _stext\n" +
		"ffffffff81002000 t nft_do_chain\t[nf_tables]\n" +
		"ffffffff81003000 D some_data\n" +
		"ffffffff81001000 T tcp_v4_rcv\n" +
		"ffffffff81004000 t ip_error.isra.0\n" +
		"ffffffff81004000 t an_alias\n" +
		"ffffffff81004100 t ip_error.cold\n"
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]string{
		0:                  "",
		0xffffffff80000000: "",
		0xffffffff81000010: "_stext",
		0xffffffff81001000: "tcp_v4_rcv",
		0xffffffff81001fff: "tcp_v4_rcv",
		0xffffffff81003004: "nft_do_chain",
		0xffffffff81004104: "ip_error",
	} {
		if got := s.name(addr); got != want {
			t.Errorf("name(%#x) = %q, want %q", addr, got, want)
		}
	}
	want := []span{
		{"tcp_v4_rcv", 0xffffffff81001000, 0xffffffff81002000}, {"ip_error", 0xffffffff81004000, 0xffffffff81004100},
		{"ip_error", 0xffffffff81004100, 0xffffffff81004100},
	}
	if got := s.spans([]string{"tcp_v4_rcv", "ip_error", "nowhere"}); !slices.Equal(got, want) {
		t.Errorf("functions lie at %#x, want %#x", got, want)
	}
	// What was found is kept.
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	if got := s.name(0xffffffff81001000); got != "tcp_v4_rcv" {
		t.Errorf("name = %q after the list went", got)
	}
}

func TestInterfaceNames(t *testing.T) {
	n := newInterfaceNames()
	n.set(1, "lo")
	n.set(2, "veth-a")
	n.remove(2)
	if got := n.get(2); got != "veth-a" {
		t.Errorf("name of an interface that went is %q", got)
	}
	n.set(2, "veth-b")
	for i := uint32(3); i < 3*maxNames; i++ {
		n.set(i, fmt.Sprint("veth", i))
		n.remove(i)
	}
	if got := len(n.names); got > maxNames {
		t.Errorf("%d names are kept", got)
	}
	if n.get(1) != "lo" || n.get(2) != "veth-b" {
		t.Errorf("interfaces that are there are called %q and %q", n.get(1), n.get(2))
	}
}

func TestRoleOf(t *testing.T) {
	link := func(kind, name string, index, netns int) netlink.Link {
		a := netlink.NewLinkAttrs()
		a.Name, a.Index, a.NetNsID = name, index, netns
		a.EncapType = "ether"
		switch kind {
		case "veth":
			return &netlink.Veth{LinkAttrs: a}
		case "vxlan":
			return &netlink.Vxlan{LinkAttrs: a}
		case "wireguard":
			a.EncapType = "none"
			return &netlink.Wireguard{LinkAttrs: a}
		}
		return &netlink.Device{LinkAttrs: a}
	}
	tests := []struct {
		name             string
		include, exclude []string
		link             netlink.Link
		want             role
	}{
		{"veth to another namespace", nil, nil, link("veth", "veth1", 5, 0), roleEndpoint},
		{"veth inside the namespace", nil, nil, link("veth", "veth1", 5, -1), roleNone},
		{"the way out", nil, nil, link("veth", "eth0", 2, 0), roleNetwork},
		{"the way out of a machine", nil, nil, link("device", "ens5", 2, -1), roleNetwork},
		{"the way out, excluded", nil, []string{"eth*"}, link("veth", "eth0", 2, 0), roleNone},
		{"the way out beside what is included", []string{"cali*"}, nil, link("veth", "eth0", 2, 0), roleNetwork},
		{"a way out that has no frames", nil, nil, link("wireguard", "wg0", 2, -1), roleNone},
		{"an overlay", nil, nil, link("vxlan", "flannel.1", 5, -1), roleNetwork},
		{"other kinds", nil, nil, link("device", "ens5", 5, -1), roleNone},
		{"included", []string{"cali*", "en?5"}, nil, link("device", "ens5", 5, -1), roleEndpoint},
		{"included though the way out", []string{"eth0"}, nil, link("veth", "eth0", 2, 0), roleEndpoint},
		{"not included", []string{"cali*"}, nil, link("veth", "veth1", 5, 0), roleNone},
		{"excluded", nil, []string{"veth1"}, link("veth", "veth1", 5, 0), roleNone},
		{"excluded and included", []string{"*"}, []string{"veth*"}, link("veth", "veth1", 5, 0), roleNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &Datapath{cfg: Config{Include: tt.include, Exclude: tt.exclude}}
			w := &watcher{Datapath: d, uplinks: map[int]bool{2: true}}
			if got := w.roleOf(tt.link); got != tt.want {
				t.Errorf("%s is of role %q, want %q", tt.link.Attrs().Name, got, tt.want)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	r := reasons{names: map[uint32]string{1: "SKB_CONSUMED", 2: "NOT_SPECIFIED", 3: "NO_SOCKET", 70000: "SKB_CONSUMED"}}
	for _, tt := range []struct {
		tell, ignore []string
		want         [4]uint8
	}{
		{nil, nil, [4]uint8{0, 1, 1, 0}},
		{[]string{"NOT_SPECIFIED"}, nil, [4]uint8{0, 1, 0, 0}},
		{nil, []string{"NO_SOCKET", "XDP"}, [4]uint8{0, 1, 1, 1}},
	} {
		set, err := r.ignored(tt.tell, tt.ignore)
		if err != nil || [4]uint8(set[:4]) != tt.want {
			t.Errorf("told %v and not %v: %v, %v, want %v", tt.tell, tt.ignore, set[:4], err, tt.want)
		}
	}
	if _, err := r.ignored(nil, []string{"NO_SOCKETS"}); err == nil || !strings.Contains(err.Error(), `drop-reasons: "NO_SOCKETS"`) {
		t.Errorf("a reason that nobody knows: %v", err)
	}
	if r.number("NO_SOCKET") != 3 || r.number("NETFILTER_DROP") != 0 || r.name(3) != "NO_SOCKET" || r.name(9) != "" {
		t.Error("names and numbers do not agree")
	}
}

func TestReasonsOfSubsystems(t *testing.T) {
	const subsystem = 3 << 16
	asked := 0
	r := reasons{names: map[uint32]string{3: "NO_SOCKET"}, subsystems: &subsystems{
		names: map[uint32]string{},
		load: func(module string) (*btf.Spec, error) {
			asked++
			if module != "openvswitch" {
				return nil, os.ErrNotExist
			}
			b, err := btf.NewBuilder([]btf.Type{&btf.Enum{Name: "ovs_drop_reason", Size: 4, Values: []btf.EnumValue{
				{Name: "__OVS_DROP_REASON", Value: subsystem}, {Name: "OVS_DROP_LAST_ACTION", Value: subsystem + 1},
			}}}, nil)
			if err != nil {
				return nil, err
			}
			return b.Spec()
		},
	}}
	for range 2 {
		for number, want := range map[uint32]string{subsystem + 1: "OVS_DROP_LAST_ACTION", subsystem + 2: "", 2 << 16: "", 3: "NO_SOCKET", 4: ""} {
			if got := r.name(number); got != want {
				t.Errorf("reason %d is called %q, want %q", number, got, want)
			}
		}
	}
	// Once for the first number, and once for each that has no name.
	if asked > 3*2 {
		t.Errorf("modules were asked for %d times", asked)
	}
}

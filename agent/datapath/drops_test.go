package datapath

import (
	"context"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/fovea-obs/fovea/bpf"
)

// TestDropsWithoutReasons has a packet dropped as kernels before 5.17 do: it is told with
// the function that freed it, and no reason.
func TestDropsWithoutReasons(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to load BPF programs")
	}
	d := openOn(t, 1<<16, btf.NewCache(), reasons{})
	if got := d.Degraded(); !slices.Contains(got, "drop reasons") || !slices.Contains(got, "full backlogs") || slices.Contains(got, "drops") {
		t.Errorf("missing: %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// Nobody has this port once it is closed.
	closed, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := closed.LocalAddr().(*net.UDPAddr)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	drops := dropsAt{port: uint16(to.Port), found: make(chan bpf.FoveaEvent, 1)}
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, drops) }()
	<-d.Ready()
	c, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-drops.found:
		if where := d.Symbol(e.Location); e.DropReason != 0 || e.Packets != 1 || where != "__udp4_lib_rcv" {
			t.Errorf("%d packets are dropped for reason %d at %q", e.Packets, e.DropReason, where)
		}
	case <-ctx.Done():
		t.Error("no drop is told")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// dropsAt finds the first drop at a port.
type dropsAt struct {
	port  uint16
	found chan bpf.FoveaEvent
}

func (d dropsAt) Event(e *bpf.FoveaEvent, _ int64) {
	if bpf.FoveaEventKind(e.Kind) != bpf.FoveaEventKindEVENT_DROP || e.Dport != d.port {
		return
	}
	select {
	case d.found <- *e:
	default:
	}
}

func (dropsAt) Lost(int, uint64, int64) {}
func (dropsAt) Flush(int64) bool        { return false }

// TestLoadDrops has kernels take some of the programs.
func TestLoadDrops(t *testing.T) {
	all := map[uint32]string{2: "NOT_SPECIFIED", 79: listenOverflow}
	for name, tt := range map[string]struct {
		why            reasons
		refused        []string
		loaded, missed []string
	}{
		"all": {reasons{names: all}, nil, []string{bpf.FoveaProgKfreeSkbOfSocket, bpf.FoveaProgFullBacklogSyn}, nil},
		"no socket is told": {reasons{names: all}, []string{bpf.FoveaProgKfreeSkbOfSocket},
			[]string{bpf.FoveaProgKfreeSkb, bpf.FoveaProgFullBacklogSyn}, nil},
		"no reason for the ACK": {reasons{names: map[uint32]string{2: "NOT_SPECIFIED", ownListenOverflow: listenOverflow}}, nil,
			[]string{bpf.FoveaProgKfreeSkbOfSocket, bpf.FoveaProgFullBacklogSyn, bpf.FoveaProgFullBacklogAck}, nil},
		"functions are not traced": {reasons{names: map[uint32]string{ownListenOverflow: listenOverflow}},
			[]string{bpf.FoveaProgFullBacklogSyn, bpf.FoveaProgFullBacklogAck},
			[]string{bpf.FoveaProgKfreeSkbOfSocket}, []string{"full backlogs"}},
		"no reasons": {reasons{}, nil, []string{bpf.FoveaProgKfreeSkbNoReason}, []string{"drop reasons", "full backlogs"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &objects{sweeps: map[string]*ebpf.Program{}}
			var loaded []string
			o.loadDrops(func(name string) (*ebpf.Program, error) {
				if slices.Contains(tt.refused, name) {
					return nil, os.ErrPermission
				}
				loaded = append(loaded, name)
				return nil, nil
			}, tt.why)
			loaded = slices.DeleteFunc(loaded, func(name string) bool {
				return name == bpf.FoveaProgSweepDrops || name == bpf.FoveaProgSweepFoldedDrops
			})
			if !slices.Equal(loaded, tt.loaded) {
				t.Errorf("loaded %q, want %q", loaded, tt.loaded)
			}
			if got := (&Datapath{objects: o}).Degraded(); !slices.Equal(got, tt.missed) {
				t.Errorf("missing %q, want %q", got, tt.missed)
			}
		})
	}
}

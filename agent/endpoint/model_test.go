package endpoint

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// model is the plain form of a Table: it keeps all that was said and looks
// through it.
type model struct {
	claims []claim
	// holders are the keys that said last that an interface leads to them.
	holders map[string]string
	names   map[uint32]string // of the interfaces that exist
	behind  map[uint32]string
	nodes   map[netip.Addr]string
	host    map[netip.Addr]bool
}

type claim struct {
	key, pod   string
	addr       netip.Addr
	start, end int64
}

func (m *model) set(key, pod, iface string, addrs []netip.Addr, at int64) {
	if held := m.holders[iface]; held != key {
		m.leave(key, at)
	} else {
		m.close(key, at)
	}
	if iface != "" {
		m.holders[iface] = key
	}
	for index, name := range m.names {
		if name == iface {
			m.behind[index] = pod
		}
	}
	for _, a := range addrs {
		m.claims = append(m.claims, claim{key, pod, a, at, forever})
	}
}

func (m *model) close(key string, at int64) {
	for i := range m.claims {
		if c := &m.claims[i]; c.key == key && c.end == forever {
			c.end = at
		}
	}
}

func (m *model) leave(key string, at int64) {
	m.close(key, at)
	for name, k := range m.holders {
		if k != key {
			continue
		}
		delete(m.holders, name)
		for index, n := range m.names {
			if n == name {
				m.behind[index] = "reserved:unmanaged"
			}
		}
	}
}

func (m *model) linkUp(index uint32, name string, pods map[string]string) {
	for i, n := range m.names {
		if n == name {
			delete(m.names, i)
		}
	}
	m.names[index] = name
	m.behind[index] = "reserved:unmanaged"
	if key, ok := m.holders[name]; ok {
		m.behind[index] = pods[key]
	}
}

func (m *model) local(index uint32) string {
	if who, ok := m.behind[index]; ok {
		return who
	}
	return "reserved:unknown"
}

func (m *model) remote(a netip.Addr, at int64) string {
	who := map[string]string{}
	for _, c := range m.claims {
		if c.addr == a && c.start <= at && at < c.end {
			who[c.key] = c.pod
		}
	}
	switch {
	case len(who) > 1:
		return "reserved:unknown"
	case m.host[a] && len(who) == 0:
		return "reserved:host"
	case m.nodes[a] != "" && len(who) == 0:
		return m.nodes[a]
	}
	for _, pod := range who {
		return pod
	}
	return "reserved:world"
}

// TestModel compares a Table with the model after each of many random updates.
func TestModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func runModel(t *testing.T, rnd *rand.Rand) {
	const keys, links, updates = 4, 4, 300
	table := NewTable("prod")
	m := &model{
		holders: map[string]string{}, names: map[uint32]string{}, behind: map[uint32]string{},
		nodes: map[netip.Addr]string{}, host: map[netip.Addr]bool{},
	}
	all := addrsOf("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1")
	some := func() (list []netip.Addr) {
		for _, a := range all {
			if rnd.IntN(3) == 0 {
				list = append(list, a)
			}
		}
		return list
	}
	pods := map[string]string{} // by key
	var said strings.Builder
	now := int64(0)
	for i := range updates {
		now += rnd.Int64N(int64(20 * time.Second))
		key, index := fmt.Sprint("key", rnd.IntN(keys)), uint32(1+rnd.IntN(links))
		iface := fmt.Sprint("veth", rnd.IntN(links))
		switch rnd.IntN(9) {
		case 0, 1, 2:
			if rnd.IntN(3) == 0 {
				iface = ""
			}
			addrs := some()
			pods[key] = fmt.Sprintf("shop/%s-%d", key, i)
			fmt.Fprintf(&said, "%d: set %s %q %v\n", now, pods[key], iface, addrs)
			_, pod, _ := strings.Cut(pods[key], "/")
			table.Set(key, Binding{Endpoint: ForPod("prod", "shop", pod, nil, nil), Interface: iface, Addresses: addrs}, now)
			m.set(key, pods[key], iface, addrs, now)
		case 3:
			fmt.Fprintf(&said, "%d: remove %s\n", now, key)
			table.Remove(key, now)
			m.leave(key, now)
		case 4, 5:
			fmt.Fprintf(&said, "link %d %s up\n", index, iface)
			table.LinkUp(index, iface)
			m.linkUp(index, iface, pods)
		case 6:
			fmt.Fprintf(&said, "link %d down\n", index)
			table.LinkDown(index)
			delete(m.names, index)
		case 7:
			own, others := some(), some()
			fmt.Fprintf(&said, "host %v, node %v\n", own, others)
			table.SetHostAddresses(own)
			table.SetNodes("node1", []Node{{"node2", others}})
			clear(m.host)
			clear(m.nodes)
			for _, a := range own {
				m.host[a] = true
			}
			for _, a := range others {
				m.nodes[a] = "reserved:remote-node"
			}
		case 8:
			// What the table answers with, it keeps by itself.
			said.WriteString("release\n")
			table.Release(func(Number) bool { return false })
		}
		compare(t, table, m, all, links, now)
		if t.Failed() {
			t.Fatalf("after\n%s", said.String())
		}
	}
}

// compare asks both about all that is not yet forgotten.
func compare(t *testing.T, table *Table, m *model, addrs []netip.Addr, links uint32, now int64) {
	t.Helper()
	for index := range links + 1 {
		if got := table.At(table.Local(index)); got.String() != m.local(index) {
			t.Errorf("behind interface %d is %s, want %s", index, got, m.local(index))
		} else if got.ID != index && got != table.At(Unknown) {
			t.Errorf("behind interface %d is endpoint %d", index, got.ID)
		}
	}
	for _, a := range addrs {
		for _, back := range []time.Duration{-time.Hour, 0, 1, time.Second, 10 * time.Second, 30 * time.Second, time.Minute - 1} {
			at := now - int64(back)
			got := table.At(table.Remote(a, at)).String()
			if want := m.remote(a, at); got != want {
				t.Errorf("%v at %d is %s, want %s", a, at, got, want)
			}
			if local, remote := table.Ends(1, a, at); local != table.Local(1) || remote != table.Remote(a, at) {
				t.Errorf("the ends are %d and %d, but were others", local, remote)
			}
		}
	}
}

func addrsOf(texts ...string) (list []netip.Addr) {
	for _, s := range texts {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

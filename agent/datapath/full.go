package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/agent/reason"
)

// fullFor is for how long the answer to whether the table of connections is full
// holds: a storm of drops asks once.
const fullFor = 10 * time.Millisecond

// table asks whether the kernel's table of connections is full: it is, near its
// bound, since packets were last dropped for that. It is for one goroutine.
type table struct {
	*conntrack
	// hooks are where it drops packets, as others do.
	hooks   []span
	dropped uint64
	full    bool
	asked   time.Time
}

// openTable asks in the network namespace of the path, or in the process's own if that
// is empty, about packets that are freed where reason.Hooks lies. The caller must Close.
func openTable(path string, where []span) (*table, error) {
	c, err := openConntrack(path)
	if err != nil {
		return nil, err
	}
	t := &table{conntrack: c}
	for _, s := range where {
		if s.name == reason.Hooks {
			t.hooks = append(t.hooks, s)
		}
	}
	if t.dropped, err = c.dropped(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return t, nil
}

// mayDrop tells whether connection tracking drops packets at a kernel address.
func (t *table) mayDrop(location uint64) bool {
	return slices.ContainsFunc(t.hooks, func(s span) bool { return s.start <= location && location < s.end })
}

// isFull tells whether a packet that was just dropped by connection tracking found no
// room. One for which it cannot be asked did not.
func (t *table) isFull(now time.Time) bool {
	if now.Sub(t.asked) < fullFor {
		return t.full
	}
	t.asked, t.full = now, false
	dropped, err := t.conntrack.dropped()
	if err != nil || dropped == t.dropped {
		return false
	}
	t.dropped = dropped
	entries, most, err := t.entries()
	// Entries go as others come. There may be no bound.
	t.full = err == nil && most > 0 && entries >= most-most/10
	return t.full
}

// Messages and attributes of statistics (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const (
	messageStatsCPU = unix.NFNL_SUBSYS_CTNETLINK<<8 | 4
	messageStats    = unix.NFNL_SUBSYS_CTNETLINK<<8 | 5

	statsDrop = 10

	statsEntries    = 1
	statsMaxEntries = 2
)

// dropped is how many packets connection tracking has dropped: they found no room, or
// broke a protocol.
func (c *conntrack) dropped() (sum uint64, err error) {
	each, err := c.statistics(messageStatsCPU, unix.NLM_F_DUMP)
	for _, cpu := range each {
		n, err := number(cpu[statsDrop])
		if err != nil {
			return 0, err
		}
		sum += uint64(n)
	}
	return sum, err
}

// entries is how many connections are known, and how many at most.
func (c *conntrack) entries() (now, most uint32, err error) {
	all, err := c.statistics(messageStats, unix.NLM_F_ACK)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d answers, want 1", len(all))
	}
	if err == nil {
		now, err = number(all[0][statsEntries])
	}
	if err == nil {
		most, err = number(all[0][statsMaxEntries])
	}
	return now, most, err
}

func (c *conntrack) statistics(message, flags int) (all []map[uint16][]byte, err error) {
	request := nl.NewNetlinkRequest(message, flags)
	request.Sockets = c.sockets
	request.AddData(&nl.Nfgenmsg{Version: nl.NFNETLINK_V0})
	answers, err := request.Execute(unix.NETLINK_NETFILTER, uint16(message))
	if err != nil {
		return nil, fmt.Errorf("ask for statistics of connection tracking: %w", err)
	}
	for _, a := range answers {
		if len(a) < nl.SizeofNfgenmsg {
			return nil, errors.New("an answer of another form")
		}
		attributes, err := children(a[nl.SizeofNfgenmsg:])
		if err != nil {
			return nil, err
		}
		all = append(all, attributes)
	}
	return all, nil
}

func number(value []byte) (uint32, error) {
	if len(value) != 4 {
		return 0, fmt.Errorf("a number of %d bytes, want 4", len(value))
	}
	return binary.BigEndian.Uint32(value), nil
}

package endpoint

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxLate is how many unknown addresses are waited for at once. Of twice as
	// many it is remembered that they were.
	maxLate = 4096
	// awaited stands for an address that may be told of later.
	awaited = ^Number(0)
)

// late is what packets were seen of before it was told who sends them. A pod
// talks as soon as it has an interface and an address; that it has them is heard
// from its node about a second later.
type late struct {
	// await is for how long names may come late, in nanoseconds; 0 if they never
	// do.
	await int64
	// unlisted is set while it is not told yet who is there at all.
	unlisted bool
	// ranges are where pods' addresses lie, sizes how long their prefixes are.
	ranges map[netip.Prefix]bool
	sizes  []int
	// addrs are the addresses that were asked for and not known.
	addrs map[[16]byte]waiting
	// unnamed are the interfaces of which nobody asked yet who is behind them.
	unnamed map[uint32]bool
	// open are the numbers given to what is not known, for as long as it may be
	// told of; queue has all since the oldest of them.
	open  map[Number]bool
	queue []waiting
	given uint64
}

// waiting is that something was not known when a flow was seen.
type waiting struct {
	since  int64
	number Number
}

func newLate() late {
	return late{
		ranges: map[netip.Prefix]bool{}, addrs: map[[16]byte]waiting{},
		unnamed: map[uint32]bool{}, open: map[Number]bool{},
	}
}

// Await says that who is behind an interface, or an address where pods have
// theirs, may be told of up to d after a flow was seen there. Such a flow gets a
// number of its own, which stands for Unknown until then, and for whoever it was
// from then on. It is to be called before all else.
func (t *Table) Await(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late.await = d.Nanoseconds()
}

// AwaitList says that nobody is told of yet: until Listed is called any address may be a
// pod's or a node's, and who has one of which nothing is known is waited for as Await says.
func (t *Table) AwaitList() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late.unlisted = true
}

// Listed says that all were told of who are there. An address of which nothing is known is
// from then on World's, unless it lies where pods have theirs; flows that were seen of it
// before, and may still be told of, are told so. Who has one of a service is not known for
// them: isService tells of an address whether it is.
func (t *Table) Listed(isService func(netip.Addr) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.late
	l.unlisted = false
	for key, w := range l.addrs {
		a := netip.AddrFrom16(key)
		n := t.remote(a, w.since)
		if n == awaited {
			continue
		}
		if n == World && isService(a.Unmap()) {
			n = Unknown
		}
		t.name(a, n, w.since)
	}
}

// Waiting returns the time of the oldest flow whose ends may still be told of at
// time now, or one after all flows.
func (t *Table) Waiting(now int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late.expire(now)
	if len(t.late.queue) == 0 {
		return forever
	}
	return t.late.queue[0].since
}

// expire forgets what need not be waited for any more, up to the oldest that is.
func (l *late) expire(now int64) {
	for len(l.queue) > 0 {
		w := l.queue[0]
		if l.open[w.number] && w.since+l.await > now {
			return
		}
		delete(l.open, w.number)
		l.queue = l.queue[1:]
	}
}

// learn notes where pods have their addresses.
func (l *late) learn(a netip.Addr) {
	if l.await == 0 {
		return
	}
	if p, ok := neighbourhood(a); ok {
		l.add(p)
	}
}

func (l *late) add(p netip.Prefix) {
	l.ranges[p] = true
	if !slices.Contains(l.sizes, p.Bits()) {
		l.sizes = append(l.sizes, p.Bits())
	}
}

// neighbourhood is where other pods' addresses lie by an address: ranges of nodes
// are hardly ever smaller.
func neighbourhood(a netip.Addr) (netip.Prefix, bool) {
	a, bits := a.Unmap(), 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// nobody is who has an address that nothing is known of.
func (t *Table) nobody(a netip.Addr) Number {
	a = a.Unmap()
	if a.IsUnspecified() {
		return Unknown
	}
	switch {
	case t.late.await == 0:
		return World
	case t.late.unlisted:
		return awaited
	}
	for _, bits := range t.late.sizes {
		if p, err := a.Prefix(bits); err == nil && t.late.ranges[p] {
			return awaited
		}
	}
	return World
}

// endsLate is Ends where one of them may be told of later.
func (t *Table) endsLate(index uint32, a netip.Addr, at int64) (local, remote Number) {
	local, remote = t.byIndex[index], t.remote(a, at)
	if t.late.unnamed[index] {
		delete(t.late.unnamed, index)
		t.late.wait(waiting{at, local})
	}
	if remote == awaited {
		remote = t.awaitAddress(a, at)
	}
	return local, remote
}

func (l *late) wait(w waiting) {
	l.expire(w.since)
	l.open[w.number] = true
	l.queue = append(l.queue, w)
}

// awaitAddress returns the number of an address that may be told of later. It is
// waited for once: who has it is unknown from then on, until it is told.
func (t *Table) awaitAddress(a netip.Addr, at int64) Number {
	l := &t.late
	if w, ok := l.addrs[a.As16()]; ok {
		if l.open[w.number] && at < w.since+l.await {
			return w.number
		}
		return Unknown
	}
	if l.expire(at); len(l.open) >= maxLate {
		return Unknown
	}
	if len(l.addrs) >= 2*maxLate {
		clear(l.addrs)
	}
	l.given++
	var k key
	binary.LittleEndian.PutUint64(k[:], l.given)
	w := waiting{at, Number(t.versions.Number(k, *t.At(Unknown)))}
	l.addrs[a.As16()] = w
	l.wait(w)
	return w.number
}

// name says that an address leads to the endpoint with number n from time start
// on: flows that were seen of it since then are told anew.
func (t *Table) name(a netip.Addr, n Number, start int64) {
	w, ok := t.late.addrs[a.As16()]
	if !ok {
		return
	}
	delete(t.late.addrs, a.As16())
	if start <= w.since && t.late.open[w.number] {
		t.replace(w.number, n)
	}
	delete(t.late.open, w.number)
}

// nameLink says that the endpoint with number n is behind an interface, which
// stands for one only: flows that were seen of it before are told anew.
func (t *Table) nameLink(index uint32, before, n Number) {
	delete(t.late.unnamed, index)
	if t.late.await > 0 && t.At(before).Identity == identityUnmanaged {
		t.replace(before, n)
	}
	delete(t.late.open, before)
	for _, a := range t.far[index].addresses {
		for _, c := range t.address(a).far {
			if c.index == index {
				t.name(a, n, c.start)
			}
		}
	}
}

package datapath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/fovea-obs/fovea/agent/reason"
	"github.com/fovea-obs/fovea/bpf"
)

// Config of a Datapath. All fields must be set, but for those that say so.
type Config struct {
	// NetNS is the path of the node's network namespace; empty for the one that
	// the process is in.
	NetNS string
	// Include and Exclude are patterns (path.Match) of interface names. Without
	// Include, the rule of roleOf holds.
	Include, Exclude []string
	Attach           Attach
	// Aggregate packets to connections, reported every Interval while packets
	// flow. Otherwise each packet is an event.
	Aggregate bool
	Interval  time.Duration
	// Overlay has the packets told that carry an overlay's, between nodes.
	Overlay bool
	// TellReasons and IgnoreReasons are drop reasons that are told though they are
	// no loss, and not told though they are.
	TellReasons, IgnoreReasons []string
	// LogGroup is the group of NFLOG to which rules log what they drop; 0 for none.
	LogGroup uint16
	// Connections is how many are tracked at most of IPv4, and as many of IPv6,
	// each direction at each endpoint for itself: 136 bytes of kernel memory
	// each, and 160 for each of IPv6 that is there.
	Connections int
	// RingSize of the buffer between kernel and agent, in bytes: a power of two
	// and a multiple of the page size.
	RingSize int
	// Interfaces is told of the node's interfaces and addresses. Its methods
	// are called by one goroutine, while Handler's are by another.
	Interfaces Interfaces
	Log        *slog.Logger
}

// Interfaces is told of what the datapath sees of the node.
type Interfaces interface {
	// LinkUp: this interface leads to an endpoint, from before its first event.
	LinkUp(index uint32, name string)
	// SetFarMAC: the far end of the interface has this hardware address.
	SetFarMAC(index uint32, mac [6]byte)
	// SetFarAddresses: the far end of the interface has these addresses from time
	// at on, in nanoseconds since 1970; none if it is gone.
	SetFarAddresses(index uint32, addrs []netip.Addr, at int64)
	// LinkDown: the interface is gone.
	LinkDown(index uint32)
	// SetHostAddresses: the addresses of the node's own network namespace.
	SetHostAddresses([]netip.Addr)
}

// Handler takes what the kernel tells. All its methods are called by the
// goroutine that Run is called in.
type Handler interface {
	// Event of time at, in nanoseconds since 1970. The event is valid during
	// the call only.
	Event(e *bpf.FoveaEvent, at int64)
	// Lost: so many events were lost on a CPU.
	Lost(cpu int, events uint64, at int64)
	// Flush is called at time now, in nanoseconds since 1970, after a batch of the
	// others, and once a second. It returns whether it wants to be called again in
	// a moment.
	Flush(now int64) (again bool)
}

// Datapath is the kernel side of an agent.
type Datapath struct {
	cfg     Config
	log     *slog.Logger
	reasons reasons
	symbols *symbols
	names   *interfaceNames

	*objects
	ring   *ring
	losses losses
	links  []io.Closer // of the drop probe and the sweeps, and what is asked of netfilter
	// packetLog is nil where none is listened to.
	packetLog *packetLog
	// table is nil where it cannot be asked.
	table *table
	iters []*link.Iter

	ready chan struct{}
}

// Open loads the programs. It fails only if there is nothing to read from: what
// the kernel refuses of the rest is told by Degraded. The caller must Close.
func Open(cfg Config) (*Datapath, error) {
	for _, p := range append(append([]string{}, cfg.Include...), cfg.Exclude...) {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("interface pattern %q: %w", p, err)
		}
	}
	types := btf.NewCache()
	why, err := loadReasons(types)
	if err != nil {
		return nil, err
	}
	return openWith(cfg, types, why)
}

// openWith is Open on a kernel that has these reasons.
func openWith(cfg Config, types *btf.Cache, why reasons) (_ *Datapath, err error) {
	d := &Datapath{
		cfg: cfg, log: cfg.Log, reasons: why, symbols: newSymbols(), names: newInterfaceNames(), ready: make(chan struct{}),
	}
	inode, err := netnsInode(cfg.NetNS)
	if err != nil {
		return nil, err
	}
	where := d.symbols.spans(telling())
	if d.objects, err = loadObjects(cfg, types, d.reasons, where, inode); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	d.losses = losses{counters: d.maps.Maps[bpf.FoveaMapCpuStats], log: d.log}
	if d.ring, err = newRing(d.maps.Maps[bpf.FoveaMapEvents], d.maps.Maps[flagMap]); err != nil {
		return nil, err
	}
	if cfg.Attach == AttachAuto {
		d.cfg.Attach = d.bestAttach()
	}
	if d.cfg.Attach == AttachClsact {
		d.leaveNetwork()
	}
	d.attachProbes()
	if cfg.LogGroup != 0 {
		if d.packetLog, err = openPacketLog(cfg.NetNS, cfg.LogGroup); err != nil {
			d.miss("logged packets", err)
		} else {
			d.links = append(d.links, d.packetLog)
		}
	}
	if d.table, err = openTable(cfg.NetNS, where); err != nil {
		d.miss("full table of connections", err)
	} else {
		d.links = append(d.links, d.table)
	}
	if !d.symbols.readable() {
		d.log.Info("Drops are told without the kernel function, and not at all where only that tells that they are a loss: " +
			"its addresses are hidden (kernel.kptr_restrict, CAP_SYSLOG)")
	}
	for _, m := range d.missing {
		d.log.Warn("Probe not available", "probe", m.probe, "error", m.err)
	}
	return d, nil
}

// leaveNetwork has nothing done at interfaces to the network. To add a clsact qdisc
// stops an interface for a moment, which loses packets that are under way
// (net/sched/sch_api.c: qdisc_graft): at a pod's it is there before the pod talks, but
// the network's never rests.
func (d *Datapath) leaveNetwork() {
	if d.network.in == nil {
		return
	}
	d.network.in.Close()
	d.network.out.Close()
	d.network = pair{}
	d.miss("the node's own traffic", errors.New("without TCX it takes a qdisc, and to add that loses packets under way"))
}

// attachProbes attaches what is not at an interface.
func (d *Datapath) attachProbes() {
	for _, p := range d.probes {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.program})
		if err != nil {
			d.miss(p.name, err)
			continue
		}
		d.links = append(d.links, l)
	}
	for conns, sweep := range d.sweeps {
		l, err := link.AttachIter(link.IterOptions{Program: sweep, Map: d.maps.Maps[conns]})
		if err != nil {
			d.miss("idle connections", err)
			break
		}
		d.iters = append(d.iters, l)
		d.links = append(d.links, l)
	}
}

// Close releases everything in the kernel. Run must have returned.
func (d *Datapath) Close() error {
	var errs []error
	for _, l := range d.links {
		errs = append(errs, l.Close())
	}
	if d.ring != nil {
		d.ring.close()
	}
	d.objects.close()
	return errors.Join(errs...)
}

// Ready is closed once the programs are attached to all interfaces that were
// there when Run began.
func (d *Datapath) Ready() <-chan struct{} { return d.ready }

// Degraded names what this kernel does not let the agent do.
func (d *Datapath) Degraded() []string {
	names := make([]string, len(d.missing))
	for i, m := range d.missing {
		names[i] = m.probe
	}
	return names
}

// ReasonName returns the kernel's name of a drop reason, without its prefix
// SKB_DROP_REASON_, or "".
func (d *Datapath) ReasonName(reason uint32) string { return d.reasons.name(reason) }

// MayBePolicy tells whether what enforces network policies may have dropped a packet,
// by its reason and the kernel address that freed it.
func (d *Datapath) MayBePolicy(number uint32, location uint64) bool {
	if number == 0 {
		return reason.MayBePolicy("", d.Symbol(location))
	}
	name, function := d.ReasonName(number), ""
	if name == reason.NotSpecified {
		function = d.Symbol(location)
	}
	return name != "" && reason.MayBePolicy(name, function)
}

// IsTableFull tells whether the packet of a drop that MayBePolicy found no room in the
// kernel's table of connections. It is for one goroutine.
func (d *Datapath) IsTableFull(e *bpf.FoveaEvent) bool {
	const untracked = uint8(bpf.FoveaEventFlagFLAG_UNTRACKED)
	return d.table != nil && e.Flags&untracked != 0 && d.table.mayDrop(e.Location) && d.table.isFull(time.Now())
}

// Logged returns what a rule logged of the packet of a drop, or "". It is for one
// goroutine.
func (d *Datapath) Logged(e *bpf.FoveaEvent) string {
	if d.packetLog == nil {
		return ""
	}
	return d.packetLog.of(e, time.Now())
}

// Symbol returns the kernel function that an address lies in, or "".
func (d *Datapath) Symbol(addr uint64) string { return d.symbols.name(addr) }

// InterfaceName returns the name of an interface of the node, also of one that
// went recently, or "".
func (d *Datapath) InterfaceName(index uint32) string { return d.names.get(index) }

// Run follows the interfaces and hands events to h, until ctx is done. It
// detaches from all interfaces before it returns.
func (d *Datapath) Run(ctx context.Context, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var watchErr, sweepErr error
	wg.Go(func() {
		defer cancel()
		watchErr = d.watch(ctx)
	})
	wg.Go(func() {
		defer cancel()
		sweepErr = d.sweepEvery(ctx, sweepInterval)
	})
	wg.Go(func() {
		<-ctx.Done()
		d.ring.wake()
	})
	readErr := d.readEvents(ctx, h)
	cancel()
	wg.Wait()
	return errors.Join(readErr, watchErr, sweepErr)
}

// netnsInode returns the number by which the kernel knows a network namespace.
func netnsInode(netns string) (uint32, error) {
	if netns == "" {
		netns = "/proc/thread-self/ns/net"
	}
	info, err := os.Stat(netns)
	if err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("network namespace %s: no inode", netns)
	}
	return uint32(st.Ino), nil
}

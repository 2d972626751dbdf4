package datapath

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/bpf"
)

// flagMap is the section of the programs' data that the ring's reader shares.
const flagMap = ".data.reader"

// objects are the programs and maps in the kernel. Programs that this kernel
// does not take are nil.
type objects struct {
	maps *ebpf.Collection

	// endpoint and network are the pairs for interfaces of a role.
	endpoint, network pair
	// probes are attached to functions and tracepoints of the kernel.
	probes []probe
	// tracking is nil where connection tracking cannot be asked.
	tracking tracking
	// sweeps are the programs that go over the connections, by their map.
	sweeps map[string]*ebpf.Program

	// missing names what was not loaded, and why.
	missing []missing
}

// pair is two programs at an interface: for what comes in there, and for what goes
// out.
type pair struct{ in, out *ebpf.Program }

// probe is a program that tells of what its name says.
type probe struct {
	name    string
	program *ebpf.Program
}

type missing struct {
	probe string
	err   error
}

// loadObjects creates the maps and loads each program for itself, so that one
// that fails costs only itself.
func loadObjects(cfg Config, types *btf.Cache, why reasons, where []span, netns uint32) (*objects, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit of locked memory (needs CAP_BPF, and CAP_SYS_RESOURCE before Linux 5.11): %w", err)
	}
	spec, err := bpf.LoadFovea()
	if err != nil {
		return nil, fmt.Errorf("read the programs: %w", err)
	}
	spec.Maps[bpf.FoveaMapConns4].MaxEntries = uint32(cfg.Connections)
	spec.Maps[bpf.FoveaMapConns6].MaxEntries = uint32(cfg.Connections)
	spec.Maps[bpf.FoveaMapEvents].MaxEntries = uint32(cfg.RingSize)
	aggregate := uint8(0)
	if cfg.Aggregate {
		aggregate = 1
	}
	overlay := uint8(0)
	if cfg.Overlay {
		overlay = 1
	}
	hz, err := tickRate()
	if err != nil {
		return nil, err
	}
	values, err := dropValues(cfg, why, where)
	if err != nil {
		return nil, err
	}
	maps.Copy(values, map[string]any{
		bpf.FoveaVarAggregate:   aggregate,
		bpf.FoveaVarShowOverlay: overlay,
		bpf.FoveaVarHz:          hz,
		bpf.FoveaVarInterval:    uint32(cfg.Interval.Seconds() * float64(hz)),
		bpf.FoveaVarHostNetns:   netns,
	})
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	programs := spec.Programs
	spec.Programs = nil
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: types})
	if err != nil {
		return nil, fmt.Errorf("create maps: %w", err)
	}
	o := &objects{maps: collection, sweeps: map[string]*ebpf.Program{}}
	load := func(name string) (*ebpf.Program, error) {
		one := spec.Copy()
		one.Programs = map[string]*ebpf.ProgramSpec{name: programs[name]}
		c, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{Cache: types, MapReplacements: collection.Maps})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return c.DetachProgram(name), nil
	}
	o.loadPairs(load)
	o.loadDrops(load, why)
	o.loadSweeps(load)
	if o.tracking, err = openTracking(cfg, load); err != nil {
		o.miss("translations", err)
	}
	return o, nil
}

// loadSweeps loads the programs that go over the connections, without locks
// where the kernel has none for them.
func (o *objects) loadSweeps(load func(string) (*ebpf.Program, error)) {
	for _, s := range []struct{ conns, locked, unlocked string }{
		{bpf.FoveaMapConns4, bpf.FoveaProgSweepConns4, bpf.FoveaProgSweepConns4Unlocked},
		{bpf.FoveaMapConns6, bpf.FoveaProgSweepConns6, bpf.FoveaProgSweepConns6Unlocked},
	} {
		p, err := load(s.locked)
		if err != nil {
			p, err = load(s.unlocked)
		}
		if err != nil {
			o.miss("idle connections", err)
			return
		}
		o.sweeps[s.conns] = p
	}
}

// loadPairs loads the programs for interfaces, without the kernel's connection
// tracking where that cannot be asked. There is no telling then what is the node's
// own of what goes to the network.
func (o *objects) loadPairs(load func(string) (*ebpf.Program, error)) {
	both := func(in, out string) (p pair, err error) {
		if p.in, err = load(in); err != nil {
			return pair{}, err
		}
		if p.out, err = load(out); err != nil {
			p.in.Close()
			return pair{}, err
		}
		return p, nil
	}
	var err, alone error
	if o.network, err = both(bpf.FoveaProgFromNetwork, bpf.FoveaProgToNetwork); err != nil {
		o.miss("the node's own traffic", err)
	}
	if o.endpoint, err = both(bpf.FoveaProgFromEndpoint, bpf.FoveaProgToEndpoint); err == nil {
		return
	}
	if o.endpoint, alone = both(bpf.FoveaProgFromEndpointAlone, bpf.FoveaProgToEndpointAlone); alone != nil {
		o.miss("endpoints", alone)
		return
	}
	o.miss("conntrack", err)
}

// miss notes what is not there, and of several errors the first.
func (o *objects) miss(probe string, err error) {
	if slices.ContainsFunc(o.missing, func(m missing) bool { return m.probe == probe }) {
		return
	}
	o.missing = append(o.missing, missing{probe, err})
}

func (o *objects) close() {
	for _, p := range append(slices.Collect(maps.Values(o.sweeps)), o.endpoint.in, o.endpoint.out, o.network.in,
		o.network.out) {
		// Close does nothing for nil.
		p.Close()
	}
	for _, p := range o.probes {
		p.program.Close()
	}
	if o.tracking != nil {
		o.tracking.Close()
	}
	o.maps.Close()
}

// tickRate is how many jiffies a second has: the coarse clock advances with each
// (kernel/time/posix-timers.c: posix_get_coarse_res).
func tickRate() (uint32, error) {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return 0, fmt.Errorf("ask for the resolution of the coarse clock: %w", err)
	}
	if res.Nano() <= 0 {
		return 0, fmt.Errorf("the coarse clock has a resolution of %d ns", res.Nano())
	}
	return uint32(time.Second.Nanoseconds() / res.Nano()), nil
}

package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/agent/reason"
	"github.com/fovea-obs/fovea/bpf"
)

// maxLosing is MAX_LOSING of bpf/fovea.h.
const maxLosing = 32

// fullBacklogs are what some probes tell of together.
const fullBacklogs = "full backlogs"

// dropValues are what the programs must know of this kernel to tell drops, by the
// variable's name.
func dropValues(cfg Config, why reasons, where []span) (map[string]any, error) {
	ignored, err := why.ignored(cfg.TellReasons, cfg.IgnoreReasons)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		bpf.FoveaVarIgnoredReasons:       ignored,
		bpf.FoveaVarReasonNoSocket:       why.number("NO_SOCKET"),
		bpf.FoveaVarReasonNotSpecified:   why.number(reason.NotSpecified),
		bpf.FoveaVarReasonListenOverflow: why.number(listenOverflow),
		bpf.FoveaVarLosing:               losingPlaces(cfg, where),
	}, nil
}

// telling are the functions that say more than the reason of what they drop.
func telling() (functions []string) {
	for _, p := range reason.Losing() {
		functions = append(functions, p.Function)
	}
	return append(functions, reason.Hooks)
}

// losingPlaces are where packets are lost for no reason that is specified, as far as
// the kernel shows where that is.
func losingPlaces(cfg Config, where []span) (places [maxLosing]bpf.FoveaLosing) {
	if slices.Contains(cfg.IgnoreReasons, reason.NotSpecified) {
		return places
	}
	arriving := map[string]uint64{}
	for _, p := range reason.Losing() {
		arriving[p.Function] = 0
		if p.Arriving {
			arriving[p.Function] = 1
		}
	}
	n := 0
	for _, f := range where {
		if arrived, ok := arriving[f.name]; ok && n < len(places) {
			places[n] = bpf.FoveaLosing{Start: f.start, End: f.end, Arriving: arrived}
			n++
		}
	}
	return places
}

// loadDrops loads the programs that tell of drops, each for itself.
func (o *objects) loadDrops(load func(string) (*ebpf.Program, error), why reasons) {
	if len(why.names) == 0 {
		none := errors.New("the kernel has none before 5.17")
		o.miss("drop reasons", none)
		o.loadProbe(load, "drops", bpf.FoveaProgKfreeSkbNoReason)
		o.miss(fullBacklogs, fmt.Errorf("drop reasons: %w", none))
		return
	}
	o.loadProbe(load, "drops", bpf.FoveaProgKfreeSkbOfSocket, bpf.FoveaProgKfreeSkb)
	o.loadProbe(load, fullBacklogs, bpf.FoveaProgFullBacklogSyn)
	if why.number(listenOverflow) == ownListenOverflow {
		o.loadProbe(load, fullBacklogs, bpf.FoveaProgFullBacklogAck)
	}
	if len(o.probes) > 0 {
		o.loadDropSweeps(load)
	}
}

// loadProbe loads the first of some programs that this kernel takes.
func (o *objects) loadProbe(load func(string) (*ebpf.Program, error), name string, programs ...string) {
	var err error
	for _, program := range programs {
		var p *ebpf.Program
		if p, err = load(program); err == nil {
			o.probes = append(o.probes, probe{name, p})
			return
		}
	}
	o.miss(name, err)
}

// loadDropSweeps loads the programs that tell what was counted of drops.
func (o *objects) loadDropSweeps(load func(string) (*ebpf.Program, error)) {
	for drops, sweep := range map[string]string{
		bpf.FoveaMapDrops:       bpf.FoveaProgSweepDrops,
		bpf.FoveaMapFoldedDrops: bpf.FoveaProgSweepFoldedDrops,
	} {
		p, err := load(sweep)
		if err != nil {
			o.miss("drops that were counted", err)
			return
		}
		o.sweeps[drops] = p
	}
}

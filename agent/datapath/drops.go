package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/agent/reason"
	"github.com/fovea-obs/fovea/bpf"
)

const (
	// maxLosing is MAX_LOSING of bpf/fovea.h.
	maxLosing = 32
	// connRequest is where a SYN is dropped that finds a full backlog.
	connRequest = "tcp_conn_request"
)

// dropValues are what the programs must know of this kernel to tell drops, by the
// variable's name.
func dropValues(cfg Config, why reasons, where *symbols) (map[string]any, error) {
	ignored, err := why.ignored(cfg.TellReasons, cfg.IgnoreReasons)
	if err != nil {
		return nil, err
	}
	var losing [maxLosing]bpf.FoveaLosing
	places := reason.Losing()
	functions := []string{connRequest}
	if !slices.Contains(cfg.IgnoreReasons, reason.NotSpecified) {
		for _, p := range places {
			functions = append(functions, p.Function)
		}
	}
	var n int
	var request uint64
	for _, f := range where.spans(functions) {
		switch i := slices.IndexFunc(places, func(p reason.Place) bool { return p.Function == f.name }); {
		case f.name == connRequest:
			request = f.start
		case n < len(losing):
			losing[n] = bpf.FoveaLosing{Start: f.start, End: f.end}
			if places[i].Arriving {
				losing[n].Arriving = 1
			}
			n++
		}
	}
	return map[string]any{
		bpf.FoveaVarIgnoredReasons:       ignored,
		bpf.FoveaVarReasonNoSocket:       why.number("NO_SOCKET"),
		bpf.FoveaVarReasonNotSpecified:   why.number(reason.NotSpecified),
		bpf.FoveaVarReasonListenOverflow: why.number(listenOverflow),
		bpf.FoveaVarLosing:               losing,
		bpf.FoveaVarConnRequest:          request,
	}, nil
}

// loadDrops loads the programs that tell of drops, each for itself.
func (o *objects) loadDrops(load func(string) (*ebpf.Program, error), why reasons) {
	if len(why.names) == 0 {
		none := errors.New("the kernel has none before 5.17")
		o.miss("drop reasons", none)
		o.loadProbe(load, "drops", bpf.FoveaProgKfreeSkbNoReason)
		o.miss("full backlogs", fmt.Errorf("drop reasons: %w", none))
		return
	}
	o.loadProbe(load, "drops", bpf.FoveaProgKfreeSkbOfSocket, bpf.FoveaProgKfreeSkb)
	o.loadProbe(load, "full backlogs", bpf.FoveaProgFullBacklog)
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

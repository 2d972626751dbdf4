package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// measureAll measures all levels in each of the runs.
func measureAll(ctx context.Context, o options) (all []result, err error) {
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, l := range o.levels {
		all = append(all, result{level: l})
	}
	for n := range o.runs {
		slog.Info("Measuring", "run", n+1, "of", o.runs)
		if err := s.measureRun(ctx, o, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// measureRun measures all levels once, with new agents.
func (s *stage) measureRun(ctx context.Context, o options, all []result) (err error) {
	if err := s.renewAgents(ctx); err != nil {
		return err
	}
	config, err := clientConfig(ctx, s.Cluster)
	if err != nil {
		return err
	}
	var agents []*agent
	defer func() {
		for _, a := range agents {
			err = errors.Join(err, a.close())
		}
	}()
	for _, n := range s.Nodes() {
		a, err := newAgent(s.Cluster, n, config)
		if err != nil {
			return err
		}
		agents = append(agents, a)
	}
	for i := range all {
		v, err := s.measureLevel(ctx, o, all[i].level, agents)
		if err != nil {
			return err
		}
		slog.Info("Measured", "level", all[i].level.name(), "rate", int(v.rate), "flows", int(v.flows), "cpu", v.cpu,
			"programs", v.programs, "held", v.held, "rss", int(v.rss), "peak", int(v.peak), "memory", int(v.memory),
			"lost", v.lost, "untracked", v.untracked, "busy", v.busy)
		all[i].runs = append(all[i].runs, v)
	}
	return nil
}

// measureLevel measures a level once.
func (s *stage) measureLevel(ctx context.Context, o options, l level, agents []*agent) (v values, err error) {
	if !l.idle() {
		defer func() { err = errors.Join(err, s.endLoad(context.WithoutCancel(ctx))) }()
		if err := s.load(ctx, l); err != nil {
			return v, err
		}
	}
	if err := pass(ctx, o.warm); err != nil {
		return v, err
	}
	before, err := s.look(ctx, l, agents)
	if err != nil {
		return v, err
	}
	for _, a := range agents {
		if err := resetPeak(a.pid); err != nil {
			return v, err
		}
	}
	if err := pass(ctx, o.time); err != nil {
		return v, err
	}
	after, err := s.look(ctx, l, agents)
	if err != nil {
		return v, err
	}
	seconds := after.at.Sub(before.at).Seconds()
	v.rate = float64(after.arrived-before.arrived) / seconds
	v.busy = (after.busy - before.busy).Seconds() / seconds
	for i, a := range agents {
		of, err := a.since(before.agents[i], after.agents[i])
		if err != nil {
			return v, err
		}
		v.add(of)
	}
	v.programs, err = programs(ctx, o.time/3, agents)
	return v, err
}

// programs is how many cores the programs of an agent use, the larger of all.
func programs(ctx context.Context, lasts time.Duration, agents []*agent) (most float64, err error) {
	measures, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return 0, fmt.Errorf("have the kernel measure BPF programs: %w", err)
	}
	defer func() { err = errors.Join(err, measures.Close()) }()
	begun := make([]time.Duration, len(agents))
	start := time.Now()
	for i, a := range agents {
		if begun[i], err = a.objects.RunTime(sweeps); err != nil {
			return 0, err
		}
	}
	if err := pass(ctx, lasts); err != nil {
		return 0, err
	}
	seconds := time.Since(start).Seconds()
	for i, a := range agents {
		now, err := a.objects.RunTime(sweeps)
		if err != nil {
			return 0, err
		}
		most = max(most, (now-begun[i]).Seconds()/seconds)
	}
	return most, nil
}

// add takes the larger values of another agent, and the sum of what is counted.
func (v *values) add(of values) {
	v.flows, v.cpu = max(v.flows, of.flows), max(v.cpu, of.cpu)
	v.held = max(v.held, of.held)
	v.rss, v.peak, v.memory = max(v.rss, of.rss), max(v.peak, of.peak), max(v.memory, of.memory)
	v.lost, v.untracked = v.lost+of.lost, v.untracked+of.untracked
}

// sight is what was there at a time.
type sight struct {
	at      time.Time
	arrived int64
	busy    time.Duration
	agents  []sample
}

func (s *stage) look(ctx context.Context, l level, agents []*agent) (at sight, err error) {
	for _, a := range agents {
		of, err := a.sample(ctx)
		if err != nil {
			return at, err
		}
		at.agents = append(at.agents, of)
	}
	if at.busy, err = busyTime(); err != nil {
		return at, err
	}
	at.at = time.Now()
	if !l.idle() {
		at.arrived, err = s.arrived(l.protocol)
	}
	return at, err
}

// pass lets a time pass.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

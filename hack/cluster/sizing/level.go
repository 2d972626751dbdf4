package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// level is at what rate of new connections is measured.
type level struct {
	// protocol is tcp or udp, empty for no connections but the cluster's own.
	protocol string
	// near is for both pods on one node, whose agent sees both ends: two cores do not
	// take 50,000 a second from node to node.
	near bool
	// rate is how many a second, 0 for as many as come to be.
	rate int64
}

// nearWord follows a protocol.
const nearWord = "-near"

// mostRate is asked for where the rate is what comes to be.
const mostRate = 1_000_000

// parseLevels reads them as the command line has them.
func parseLevels(text string) (levels []level, err error) {
	for _, word := range strings.Split(text, ",") {
		if word == "idle" {
			levels = append(levels, level{})
			continue
		}
		kind, number, _ := strings.Cut(word, ":")
		protocol, near := strings.CutSuffix(kind, nearWord)
		rate, err := strconv.ParseInt(number, 10, 64)
		if err != nil || rate < 0 || rate > mostRate || protocol != "tcp" && protocol != "udp" {
			return nil, fmt.Errorf("-levels %q: want idle, tcp:RATE, tcp-near:RATE, udp:RATE or udp-near:RATE, and a rate from 0 to %d", word, mostRate)
		}
		levels = append(levels, level{protocol, near, rate})
	}
	return levels, nil
}

func (l level) idle() bool { return l.protocol == "" }

// name is as figures have it.
func (l level) name() string {
	if l.idle() {
		return "idle"
	}
	if l.near {
		return fmt.Sprintf("%s_near_%d", l.protocol, l.rate)
	}
	return fmt.Sprintf("%s_%d", l.protocol, l.rate)
}

// values are what was measured once.
type values struct {
	rate, flows, cpu, programs, held, rss, peak, memory, lost, untracked, busy float64
}

// result is all that was measured of a level.
type result struct {
	level level
	runs  []values
}

// figure is a line of the output.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

func (r result) figures() (all []figure) {
	for _, f := range []struct {
		name, unit string
		of         func(values) float64
	}{
		{"rate", "connections/s", func(v values) float64 { return v.rate }},
		{"flows", "flows/s", func(v values) float64 { return v.flows }},
		{"cpu", "cores", func(v values) float64 { return v.cpu }},
		{"programs", "cores", func(v values) float64 { return v.programs }},
		{"held", "of the history", func(v values) float64 { return v.held }},
		{"rss", "MiB", func(v values) float64 { return v.rss }},
		{"rss_peak", "MiB", func(v values) float64 { return v.peak }},
		{"memory", "MiB", func(v values) float64 { return v.memory }},
		{"lost", "events", func(v values) float64 { return v.lost }},
		{"untracked", "packets", func(v values) float64 { return v.untracked }},
		{"busy", "cores", func(v values) float64 { return v.busy }},
	} {
		if f.name == "rate" && r.level.idle() {
			continue
		}
		sorted := r.sorted(f.of)
		all = append(all, figure{
			"sizing." + r.level.name() + "." + f.name, middle(sorted), f.unit, sorted[0], sorted[len(sorted)-1],
		})
	}
	return all
}

// median is that of a value in all runs.
func (r result) median(of func(values) float64) float64 { return middle(r.sorted(of)) }

func (r result) sorted(of func(values) float64) []float64 {
	var all []float64
	for _, v := range r.runs {
		all = append(all, of(v))
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// reached is an error if the rate was not, within a tenth.
func (r result) reached() error {
	got, want := r.median(func(v values) float64 { return v.rate }), float64(r.level.rate)
	if want == 0 || got >= 0.9*want && got <= 1.1*want {
		return nil
	}
	return fmt.Errorf("%s: %.0f connections a second arrived, want %.0f within a tenth", r.level.name(), got, want)
}

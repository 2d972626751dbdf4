package main

import (
	"slices"
	"testing"
)

func TestFigures(t *testing.T) {
	r := result{level{"udp", false, 1000}, []values{{rate: 990, cpu: 0.3}, {rate: 1000, cpu: 0.1}, {rate: 980, cpu: 0.2}}}
	all := r.figures()
	for _, want := range []figure{
		{"sizing.udp_1000.rate", 990, "connections/s", 980, 1000}, {"sizing.udp_1000.cpu", 0.2, "cores", 0.1, 0.3},
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%v, want %v among them", all, want)
		}
	}
	idle := result{level{}, []values{{flows: 4}, {flows: 2}}}.figures()
	if want := (figure{"sizing.idle.flows", 3, "flows/s", 2, 4}); idle[0] != want {
		t.Errorf("%v, want %v first", idle, want)
	}
}

func TestReached(t *testing.T) {
	for _, tt := range []struct {
		name  string
		level level
		rates []float64
		want  bool
	}{
		{"all", level{"tcp", false, 1000}, []float64{1000}, true},
		{"a tenth less", level{"tcp", false, 1000}, []float64{900}, true},
		{"less", level{"tcp", false, 1000}, []float64{890}, false},
		{"more", level{"udp", false, 1000}, []float64{1110}, false},
		{"one run was bad", level{"udp", false, 1000}, []float64{1000, 10, 1000}, true},
		{"what comes to be", level{"tcp", false, 0}, []float64{10}, true},
		{"idle", level{}, []float64{0}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := result{level: tt.level}
			for _, rate := range tt.rates {
				r.runs = append(r.runs, values{rate: rate})
			}
			if err := r.reached(); (err == nil) != tt.want {
				t.Errorf("%v, want reached %t", err, tt.want)
			}
		})
	}
}

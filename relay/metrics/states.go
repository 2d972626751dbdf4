package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fovea-obs/fovea/relay/peers"
)

// states counts peers when it is asked.
type states struct {
	peers *peers.Peers
	desc  *prometheus.Desc
}

func newStates(p *peers.Peers) states {
	return states{p, prometheus.NewDesc("fovea_relay_peers", "Nodes that are asked for flows.", []string{"state"}, nil)}
}

// Describe tells what Collect does.
func (s states) Describe(to chan<- *prometheus.Desc) { to <- s.desc }

// Collect counts.
func (s states) Collect(to chan<- prometheus.Metric) {
	list, _ := s.peers.All()
	connected := 0
	for _, p := range list {
		if p.Connected() {
			connected++
		}
	}
	for state, n := range map[string]int{"connected": connected, "unavailable": len(list) - connected} {
		m, err := prometheus.NewConstMetric(s.desc, prometheus.GaugeValue, float64(n), state)
		if err != nil {
			m = prometheus.NewInvalidMetric(s.desc, err)
		}
		to <- m
	}
}

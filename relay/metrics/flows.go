package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Class is how a peer tells flows.
type Class int

const (
	// Batched is many in a message, as agents of ours do.
	Batched Class = iota
	// Plain is one in a message, as Hubble's servers do.
	Plain
	classes
)

// Flows counts what passes the relay. Its methods are safe for concurrent use and cheap.
// Those of a nil Flows do nothing.
type Flows struct {
	batches, forwarded, lost byClass
	bytes                    prometheus.Counter
	streams                  prometheus.Gauge
	lag                      prometheus.Histogram
}

// byClass is a counter for each class of peers.
type byClass struct {
	*prometheus.CounterVec
	of [classes]prometheus.Counter
}

func newByClass(name, help string) byClass {
	c := byClass{CounterVec: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"peer"})}
	for class, label := range [classes]string{Batched: "batched", Plain: "plain"} {
		c.of[class] = c.WithLabelValues(label)
	}
	return c
}

func newFlows() *Flows {
	return &Flows{
		batches:   newByClass("fovea_relay_batches_received_total", "Messages received from nodes for requests for flows."),
		forwarded: newByClass("fovea_relay_flows_forwarded_total", "Flows sent to clients."),
		lost:      newByClass("fovea_relay_flows_lost_total", "Flows that clients were told are lost."),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fovea_relay_bytes_received_total", Help: "Bytes of the messages received from nodes for requests for flows.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fovea_relay_streams", Help: "Requests for flows that are open.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fovea_relay_follow_lag_seconds", Help: "Age of flows when they are sent to clients that follow, of a flow now and then.",
			Buckets: []float64{.005, .01, .025, .05, .1, .15, .2, .3, .5, 1, 2, 5, 10, 30},
		}),
	}
}

func (f *Flows) collectors() []prometheus.Collector {
	return []prometheus.Collector{f.batches, f.forwarded, f.lost, f.bytes, f.streams, f.lag}
}

// Opened counts a request for flows until closed is called.
func (f *Flows) Opened() (closed func()) {
	if f == nil {
		return func() {}
	}
	f.streams.Inc()
	return f.streams.Dec
}

// Received counts a message of a peer.
func (f *Flows) Received(c Class, bytes int) {
	if f == nil {
		return
	}
	f.batches.of[c].Inc()
	f.bytes.Add(float64(bytes))
}

// Forwarded counts a flow of a peer that is sent to a client.
func (f *Flows) Forwarded(c Class) {
	if f != nil {
		f.forwarded.of[c].Inc()
	}
}

// Lost counts flows of a peer that a client was told are lost.
func (f *Flows) Lost(c Class, n uint64) {
	if f != nil {
		f.lost.of[c].Add(float64(n))
	}
}

// Followed counts how late a flow of a time was sent just now.
func (f *Flows) Followed(at time.Time) {
	if f != nil {
		f.lag.Observe(max(0, time.Since(at).Seconds()))
	}
}

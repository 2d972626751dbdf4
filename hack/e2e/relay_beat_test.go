package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/hack/lab"
)

const (
	// beatPort is where pods send a datagram to each beatEvery, for the tests of faults:
	// what is told of it is how clients see that a node is told of.
	beatPort  = 7007
	beatEvery = 20 * time.Millisecond
)

// beat sends datagrams from one pod to another until the test ends, each from another
// port: of each its first end is told, and its last.
func beat(t *testing.T, from, to *lab.Pod) {
	t.Helper()
	sink, err := lab.ServeUDPSink(to.NS, fmt.Sprintf(":%d", beatPort))
	check(t, err)
	closeLater(t, sink.Close)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- nil
				return
			case <-tick.C:
			}
			if err := sendOne(from, netip.AddrPortFrom(to.IPv4, beatPort)); err != nil {
				done <- err
				return
			}
		}
	}()
	closeLater(t, func() error {
		close(stop)
		return <-done
	})
}

// sendOne sends a datagram from a port of its own.
func sendOne(from *lab.Pod, to netip.AddrPort) error {
	c, err := from.DialUDP(context.Background(), to)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("beat"))
	return errors.Join(err, c.Close())
}

// beats are the flows that tell of what beat sends.
func beats() []*flowpb.FlowFilter {
	return []*flowpb.FlowFilter{{Protocol: []string{"udp"}, DestinationPort: []string{fmt.Sprint(beatPort)}}}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/fovea-obs/fovea/hack/bench/child"
)

const (
	relayNodes = 4
	// relayFlows is how many flows each node has at first. Those of the nodes take
	// turns.
	relayFlows = 100_000
)

// nodes are servers of agents, each over flows of its own in a process of its own.
type nodes struct {
	children []*child.Child
	// batched are the names and addresses, as name=host:port, of servers that have the
	// service of our relays. Those of plain have the same flows, and are to a relay as
	// Hubble's own servers are.
	batched, plain []string
}

// startNodes starts nodes, which the caller must stop.
func startNodes(ctx context.Context) (_ *nodes, err error) {
	n := &nodes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	for i := range relayNodes {
		c, err := startChild(ctx)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
		after := time.Duration(i) * time.Millisecond / relayNodes
		if _, err := c.Do(child.Command{Do: "fill", Times: relayFlows, After: after.Nanoseconds()}); err != nil {
			return nil, err
		}
		for _, l := range []struct {
			batches bool
			list    *[]string
		}{{true, &n.batched}, {false, &n.plain}} {
			a, err := c.Do(child.Command{Do: "listen", Node: uint16(i + 1), Batches: l.batches})
			if err != nil {
				return nil, err
			}
			*l.list = append(*l.list, fmt.Sprintf("node-%d=%s", i+1, a.Address))
		}
	}
	return n, nil
}

func (n *nodes) stop() (err error) {
	for _, c := range n.children {
		err = errors.Join(err, c.Stop())
	}
	return err
}

// append has so many flows happen on each node, one every so often. Nodes take turns.
func (n *nodes) append(times int, every time.Duration) error {
	errs := make([]error, len(n.children))
	var wg sync.WaitGroup
	for i, c := range n.children {
		after := every * time.Duration(i) / relayNodes
		wg.Go(func() {
			_, errs[i] = c.Do(child.Command{Do: "append", Times: times, Every: every.Nanoseconds(), After: after.Nanoseconds()})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// freeze has a node say nothing, and not go either, until thaw is called.
func (n *nodes) freeze() (thaw func() error, err error) {
	pid := n.children[len(n.children)-1].PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("freeze a node: %w", err)
	}
	return func() error { return syscall.Kill(pid, syscall.SIGCONT) }, nil
}

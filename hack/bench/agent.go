package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

const (
	throughputTurns = 20
	// congestionControl sends as much as the CPU can. BBR, where it is the
	// default, sends at the rate that it once measured, which says little of
	// what packets cost.
	congestionControl = "reno"
	// connections of connectionTime make up a measurement of TCP.
	connections    = 10
	connectionTime = 100 * time.Millisecond
	floodTime      = time.Second
	// warmUp goes before each measurement: an agent that has just started or
	// ended keeps a core busy for a moment.
	warmUp     = 500 * time.Millisecond
	floodBytes = 64

	rssEndpoints = 100
	rssBound     = 40.0 // MiB
)

// benchThroughput measures bulk TCP and small-packet UDP between two pods of a
// node, with the agent over without it. All runs on one CPU, the agent too: no
// cost hides on another core, and the scheduler decides nothing.
func benchThroughput(ctx context.Context, dir string) (_ []result, err error) {
	unpin, err := pin()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unpin()) }()
	l, node, pods, err := newLab(2)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, p := range pods {
		if err := p.NS.Sysctl("net/ipv4/tcp_congestion_control", congestionControl); err != nil {
			return nil, err
		}
	}
	sink, err := lab.ServeSink(pods[1].NS, ":5001")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	flood, err := lab.ServeUDPSink(pods[1].NS, ":5002")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, flood.Close()) }()

	tcp := func() (float64, error) {
		var bytes int64
		var elapsed time.Duration
		for range connections {
			r, err := lab.TCPBulk{
				Target: netip.AddrPortFrom(pods[1].IPv4, 5001), Duration: connectionTime,
			}.Run(ctx, pods[0].NS)
			if err != nil {
				return 0, err
			}
			bytes, elapsed = bytes+r.Bytes, elapsed+r.Elapsed
		}
		return float64(bytes) * 8 / elapsed.Seconds() / 1e9, nil
	}
	udp := func() (float64, error) {
		before, _ := flood.Received()
		r, err := lab.UDPFlood{
			Target: netip.AddrPortFrom(pods[1].IPv4, 5002), Bytes: floodBytes, Duration: floodTime,
		}.Run(ctx, pods[0].NS)
		after, _ := flood.Received()
		return float64(after-before) / r.Elapsed.Seconds() / 1e3, err
	}
	var results []result
	for _, m := range []struct {
		name, unit string
		run        func() (float64, error)
	}{{"datapath.throughput_tcp", "Gbit/s", tcp}, {"datapath.throughput_udp", "kpackets/s", udp}} {
		values, baselines, err := withAndWithout(ctx, node, dir, m.run)
		if err != nil {
			return results, fmt.Errorf("%s: %w", m.name, err)
		}
		results = append(results, compared(m.name, m.unit, "without the agent", values, baselines))
	}
	return results, nil
}

// withAndWithout measures in turns with an agent on the node and without.
func withAndWithout(ctx context.Context, node *lab.Node, dir string, measure func() (float64, error),
) (with, without []float64, err error) {
	warm := func() (float64, error) {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(warmUp):
		}
		return measure()
	}
	observed := func() (v float64, err error) {
		a, err := process.Start(ctx, process.Config{Program: program(dir), Node: node, Dir: dir, Log: os.Stderr})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, a.Stop()) }()
		return warm()
	}
	return inTurns(throughputTurns, observed, warm)
}

// benchRSS measures the memory of an agent that watches 100 endpoints which do
// nothing.
func benchRSS(ctx context.Context, dir string) (_ []result, err error) {
	l, node, pods, err := newLab(rssEndpoints)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	a, err := process.Start(ctx, process.Config{
		Program: program(dir), Node: node, Dir: dir, Endpoints: endpointsFile(pods), Log: os.Stderr,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	var worst float64
	for range 10 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		rss, err := residentMiB(a.PID())
		if err != nil {
			return nil, err
		}
		worst = max(worst, rss)
	}
	return []result{bounded("agent.rss", "MiB", worst, rssBound)}, nil
}

func newLab(pods int) (*lab.Lab, *lab.Node, []*lab.Pod, error) {
	l, err := lab.New()
	if err != nil {
		return nil, nil, nil, err
	}
	node, err := l.AddNode("node1")
	if err != nil {
		return nil, nil, nil, errors.Join(err, l.Close())
	}
	var all []*lab.Pod
	for i := range pods {
		p, err := node.AddPod(lab.PodSpec{Name: fmt.Sprintf("pod-%d", i), Namespace: "shop"})
		if err != nil {
			return nil, nil, nil, errors.Join(err, l.Close())
		}
		all = append(all, p)
	}
	return l, node, all, nil
}

func endpointsFile(pods []*lab.Pod) string {
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for _, p := range pods {
		fmt.Fprintf(&b, "  - {interface: %s, addresses: [%s, %q], namespace: %s, pod: %s, labels: {app: %s}}\n",
			p.Interface, p.IPv4, p.IPv6, p.Namespace, p.Name, p.Name)
	}
	return b.String()
}

// residentMiB is a process's resident memory.
func residentMiB(pid int) (float64, error) { return memoryMiB(pid, "VmRSS") }

// memoryMiB is a process's memory of a kind, by its name in the process's status.
func memoryMiB(pid int, kind string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 1 && f[0] == kind+":" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the memory of a process is not told")
}

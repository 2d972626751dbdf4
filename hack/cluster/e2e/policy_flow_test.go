//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// Types of events.
const (
	dropEvent    = 1
	verdictEvent = 5
)

// hubbleFlows are what the stock hubble shows of all nodes while it follows them.
type hubbleFlows struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	// came is told of new flows.
	came chan struct{}

	mu sync.Mutex
	// flows are by the port from which their connection was made.
	flows map[uint16][]*flowpb.Flow
	errs  []error
}

// follow has hubble follow the flows of the scripts' pods, from now on.
func (p *policyTest) follow(t *testing.T) *hubbleFlows {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &hubbleFlows{cancel: cancel, came: make(chan struct{}, 1), flows: map[uint16][]*flowpb.Flow{}}
	t.Cleanup(h.stop)
	since := time.Now().Format(time.RFC3339Nano)
	for _, n := range p.Nodes() {
		args := []string{"observe", "--follow", "--since", since, "--output", "jsonpb", "--server", "unix://" + n.Dir("/run/fovea/hubble.sock")}
		for _, namespace := range policyNamespaces() {
			args = append(args, "--namespace", namespace)
		}
		cmd := exec.CommandContext(ctx, p.hubble, args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		h.ended.Go(func() {
			read := eachFlow(out, h.take)
			if err := cmd.Wait(); ctx.Err() == nil {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.errs = append(h.errs, fmt.Errorf("hubble ended unasked: %w, %w: %s", err, read, errs.String()))
			}
		})
	}
	return h
}

// take takes a flow of a call of the scripts.
func (h *hubbleFlows) take(f *flowpb.Flow) {
	src, dst, ok := ends(f)
	if !ok {
		return
	}
	port := min(src.Port(), dst.Port())
	if port < firstPort {
		port = max(src.Port(), dst.Port())
	}
	h.mu.Lock()
	h.flows[port] = append(h.flows[port], f)
	h.mu.Unlock()
	select {
	case h.came <- struct{}{}:
	default: // what came is not looked at yet
	}
}

// wait waits for more flows, and tells whether there are any before ctx ends.
func (h *hubbleFlows) wait(ctx context.Context) bool {
	select {
	case <-h.came:
		return true
	case <-ctx.Done():
		return false
	}
}

// of returns the flows of the connection that was made from a port.
func (h *hubbleFlows) of(port uint16) []*flowpb.Flow {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.flows[port])
}

// stop ends hubble. What it showed until then stays.
func (h *hubbleFlows) stop() {
	h.cancel()
	h.ended.Wait()
}

// judgeFilters asks for flows of one kind, which must be those of all flows that are.
func (p *policyTest) judgeFilters(t *testing.T) {
	ctx := testContext(t)
	for _, filter := range []struct {
		args []string
		is   func(*flowpb.Flow) bool
	}{
		{[]string{"--type", "policy-verdict"}, func(f *flowpb.Flow) bool { return f.GetEventType().GetType() == verdictEvent }},
		{[]string{"--type", "drop"}, func(f *flowpb.Flow) bool { return f.GetEventType().GetType() == dropEvent }},
		{[]string{"--verdict", "DROPPED"}, func(f *flowpb.Flow) bool { return f.GetVerdict() == flowpb.Verdict_DROPPED }},
		{[]string{"--drop-reason-desc", "POLICY_DENIED"}, func(f *flowpb.Flow) bool { return f.GetDropReasonDesc() == flowpb.DropReason_POLICY_DENIED }},
	} {
		got := map[string]bool{}
		for _, n := range p.Nodes() {
			flows, err := observe(ctx, p.hubble, n, "unix://"+n.Dir("/run/fovea/hubble.sock"), append(filter.args, "--all")...)
			check(t, err)
			for _, f := range flows {
				got[f.GetUuid()] = true
			}
		}
		count := 0
		for _, flows := range p.flows.flows {
			for _, f := range flows {
				if filter.is(f) {
					count++
				}
				if got[f.GetUuid()] != filter.is(f) {
					t.Errorf("hubble observe %v shows it: %v: %v", filter.args, got[f.GetUuid()], f)
				}
			}
		}
		if count == 0 {
			t.Errorf("hubble observe %v: there are no such flows", filter.args)
		}
	}
}

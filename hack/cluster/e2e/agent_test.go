//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/stock"
)

func testAgentStarts(t *testing.T, f *fixture) {
	ctx := testContext(t)
	f.apply(ctx, t, "agent.yaml")
	f.rollOut(ctx, t, "fovea", "daemonset/fovea")
}

// testHubble asks the agent of each node, as the stock hubble does, for what the
// client on this node did.
func testHubble(t *testing.T, f *fixture) {
	ctx := testContext(t)
	hubble, err := stock.Hubble(ctx)
	check(t, err)
	clients, err := f.pods(ctx, "shop", "client")
	check(t, err)
	for _, c := range clients {
		node := f.Node(c.node)
		for _, server := range []string{
			netip.AddrPortFrom(node.IPv4, 4244).String(), "unix://" + node.Dir("/run/fovea/hubble.sock"),
		} {
			eventually(ctx, t, func() error {
				flows, err := observe(ctx, hubble, node, server, "--last", "1000")
				if err != nil {
					return err
				}
				return sent(flows, c.addrs)
			})
		}
	}
}

// observe returns the flows of a node that pass the filters.
func observe(ctx context.Context, hubble string, node *cluster.Node, server string, filters ...string) (flows []*flowpb.Flow, err error) {
	cmd := exec.CommandContext(ctx, hubble, append([]string{"observe", "--output", "jsonpb", "--server", server}, filters...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := node.NS.Run(cmd); err != nil {
		return nil, fmt.Errorf("observe %s: %w: %s", server, err, errs.String())
	}
	err = eachFlow(&out, func(f *flowpb.Flow) { flows = append(flows, f) })
	return flows, err
}

// eachFlow reads what hubble prints until its end.
func eachFlow(r io.Reader, take func(*flowpb.Flow)) error {
	for d := json.NewDecoder(r); ; {
		var line json.RawMessage
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read flows: %w", err)
		}
		var r observerpb.GetFlowsResponse
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(line, &r); err != nil {
			return fmt.Errorf("read flow %s: %w", line, err)
		}
		if f := r.GetFlow(); f != nil {
			take(f)
		}
	}
}

// sent tells whether there are flows from all the addresses.
func sent(flows []*flowpb.Flow, addrs []netip.Addr) error {
	for _, a := range addrs {
		if !slices.ContainsFunc(flows, func(f *flowpb.Flow) bool { return f.GetIP().GetSource() == a.String() }) {
			return fmt.Errorf("no flow from %s among %d", a, len(flows))
		}
	}
	return nil
}

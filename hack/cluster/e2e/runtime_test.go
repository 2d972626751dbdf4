//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/lab"
	agents "github.com/fovea-obs/fovea/hack/process"
)

// TestRuntime has pods on a node with a container runtime and nothing that tells
// of them but that: their flows have their names.
func TestRuntime(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces")
	}
	before := lookAround(t)
	ctx := testContext(t)
	c, err := cluster.StartAlone(ctx)
	check(t, err)
	t.Cleanup(func() {
		check(t, c.Close())
		before.unchanged(t)
	})
	r := &runtimeTest{Cluster: c, node: c.Nodes()[0]}
	r.connect(t)
	r.startPod(ctx, t, "before", "uid-1")
	r.startAgent(ctx, t)
	r.wantNamed(ctx, t, "before")
	r.startPod(ctx, t, "later", "uid-2")
	r.wantNamed(ctx, t, "later")
	r.wantDegraded(ctx, t, false)

	// What is known stays while the runtime is away.
	check(t, c.StopRuntime(r.node))
	r.wantDegraded(ctx, t, true)
	r.wantNamed(ctx, t, "before")
	check(t, c.StartRuntime(ctx, r.node))
	r.wantDegraded(ctx, t, false)
	r.connect(t)
	r.startPod(ctx, t, "after", "uid-3")
	r.wantNamed(ctx, t, "after")
	r.wantNamed(ctx, t, "later")

	_, err = r.client.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: r.pods["later"].id})
	check(t, err)
	r.wantGone(ctx, t, "later")
	r.wantNamed(ctx, t, "after")
}

// runtimeTest is a node with a runtime, and an agent.
type runtimeTest struct {
	*cluster.Cluster
	node   *cluster.Node
	client runtime.RuntimeServiceClient
	agent  *agents.Agent
	pods   map[string]runtimePod
}

type runtimePod struct {
	id    string
	addrs []netip.Addr
}

func (r *runtimeTest) connect(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+r.node.Runtime(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()) })
	r.client = runtime.NewRuntimeServiceClient(conn)
}

// startPod has the runtime make a sandbox, which has the node's CNI plugin connect
// it.
func (r *runtimeTest) startPod(ctx context.Context, t *testing.T, name, uid string) {
	t.Helper()
	config, err := r.Sandbox(r.node, "shop", name, uid, map[string]string{"app": name})
	check(t, err)
	started, err := r.client.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: config}, grpc.WaitForReady(true))
	check(t, err)
	answer, err := r.client.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: started.GetPodSandboxId()})
	check(t, err)
	network := answer.GetStatus().GetNetwork()
	pod := runtimePod{id: started.GetPodSandboxId(), addrs: []netip.Addr{netip.MustParseAddr(network.GetIp())}}
	for _, more := range network.GetAdditionalIps() {
		pod.addrs = append(pod.addrs, netip.MustParseAddr(more.GetIp()))
	}
	if len(pod.addrs) != 2 {
		t.Fatalf("pod %s has addresses %v, want two", name, pod.addrs)
	}
	if r.pods == nil {
		r.pods = map[string]runtimePod{}
	}
	r.pods[name] = pod
}

func (r *runtimeTest) startAgent(ctx context.Context, t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "fovea")
	text, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/fovea-obs/fovea").CombinedOutput()
	if err != nil {
		t.Fatalf("build fovea: %v\n%s", err, text)
	}
	r.agent, err = agents.Start(ctx, agents.Config{
		Program: program, Node: r.node.Node, Dir: dir, Log: os.Stderr,
		Args: []string{"--kubernetes", "off", "--cri-socket", r.node.Runtime()},
	})
	check(t, err)
	t.Cleanup(func() { check(t, r.agent.Stop()) })
}

// wantNamed talks to the pod, and waits for flows from and to it that have its
// name and labels.
func (r *runtimeTest) wantNamed(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	for _, a := range r.pods[name].addrs {
		eventually(ctx, t, func() error {
			// The agent hears of a pod some time after it can be reached: not all
			// flows need be named at once.
			if _, err := (lab.Ping{Target: a, ID: 9}).Run(ctx, r.node.NS); err != nil {
				return err
			}
			flows, err := r.flows(ctx)
			if err != nil {
				return err
			}
			from, to := false, false
			for _, f := range flows {
				switch a.String() {
				case f.GetIP().GetSource():
					from = from || isPod(f.GetSource(), name)
				case f.GetIP().GetDestination():
					to = to || isPod(f.GetDestination(), name)
				}
			}
			if !from || !to {
				return fmt.Errorf("no named flow from and to %s, %s: %v, %v", name, a, from, to)
			}
			return nil
		})
	}
}

func isPod(e *flowpb.Endpoint, name string) bool {
	return e.GetNamespace() == "shop" && e.GetPodName() == name && slices.Contains(e.GetLabels(), "k8s:app="+name)
}

// flows are the newest of the agent.
func (r *runtimeTest) flows(ctx context.Context) (all []*flowpb.Flow, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.agent.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{Number: 20})
	if err != nil {
		return nil, err
	}
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if f := m.GetFlow(); f != nil {
			all = append(all, f)
		}
	}
}

// wantGone waits until the agent tells that a pod went.
func (r *runtimeTest) wantGone(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.agent.Client.GetAgentEvents(ctx, &observerpb.GetAgentEventsRequest{Number: 100, Follow: true})
	check(t, err)
	for {
		m, err := stream.Recv()
		check(t, err)
		e := m.GetAgentEvent()
		if e.GetType() == flowpb.AgentEventType_ENDPOINT_DELETED && e.GetEndpointUpdate().GetPodName() == name {
			return
		}
	}
}

// wantDegraded waits until the agent says, or does not say, that the runtime is
// away.
func (r *runtimeTest) wantDegraded(ctx context.Context, t *testing.T, want bool) {
	t.Helper()
	eventually(ctx, t, func() error {
		status, err := r.agent.Client.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		if err != nil {
			return err
		}
		if strings.Contains(status.GetVersion(), "container runtime") != want {
			return fmt.Errorf("version %q, want the runtime named as missing: %v", status.GetVersion(), want)
		}
		return nil
	})
}

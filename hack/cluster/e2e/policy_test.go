//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/netpol"
	"github.com/fovea-obs/fovea/hack/stock"
)

const (
	// container is what the pods in the scripts of policies run.
	container = `image: "fovea.test/workload:1", imagePullPolicy: Never, ` +
		`args: [server, -tcp, ":8080,:8081,:9090", -udp, ":8080,:9090"], ` +
		`env: ` + podVariables + `, readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}`
	// flowsTimeout is for how long flows are waited for after the calls.
	flowsTimeout = 10 * time.Second
)

// testPolicies runs the scripts in testdata/policies, in which pods call each other
// while policies are enforced. Their commands are
//
//	policies              network policies in YAML, in the place of those before; of
//	                      each the parts that differ
//	drop node=N port=P    a rule that has nothing to do with policies drops what goes
//	                      through a node to a TCP port, until the script ends
//	call                  calls at once, a line each: namespace/pod -> to port, or
//	                      port/UDP, where to is a pod, a Service as namespace/name.svc,
//	                      a node, or outside
//
// and print of each call who answered, and what hubble shows of it: where it was
// dropped and why, and what policies say. The called are called by IPv4 and IPv6,
// which are printed apart where they differ.
func testPolicies(t *testing.T, f *fixture) {
	p := newPolicyTest(t, f)
	scripts, err := filepath.Glob("testdata/policies/*.txt")
	check(t, err)
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			datadriven.RunTest(t, path, p.command)
		})
	}
	// Nothing came later that says more, or something else.
	for i, calls := range p.made {
		if told := p.tell(calls); told != p.told[i] {
			t.Errorf("was told:\n%s\nand is in the end:\n%s", p.told[i], told)
		}
	}
	p.flows.stop()
	check(t, errors.Join(p.flows.errs...))
	p.judgeFilters(t)
}

// policyTest is the pods of the scripts, and what they did.
type policyTest struct {
	*fixture
	api    *api
	hubble string // its path
	// addrs are those of all that can be called, as scripts name it.
	addrs map[string][]netip.Addr
	flows *hubbleFlows
	// port is what the next address is called from.
	port uint16
	// policies are those that there are.
	policies []policyRef
	// made are the calls of all commands, told is what was printed of them.
	made [][]*call
	told []string
}

func newPolicyTest(t *testing.T, f *fixture) *policyTest {
	t.Helper()
	ctx := testContext(t)
	p := &policyTest{fixture: f, api: newAPI(t, f), port: firstPort}
	var err error
	p.hubble, err = stock.Hubble(ctx)
	check(t, err)
	t.Cleanup(func() { p.remove(t) })
	f.apply(ctx, t, "policies.yaml", "$CONTAINER", container)
	for _, namespace := range policyNamespaces() {
		_, err := f.Kubectl(ctx, "--namespace", namespace, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=1m")
		check(t, err)
	}
	check(t, p.learn(ctx))
	eventually(ctx, t, func() error { return p.callServices(ctx) })
	p.flows = p.follow(t)
	return p
}

// callServices returns an error if a service cannot be called from each node:
// kube-proxy, which may not have heard of the API server's return yet, is in no hurry.
func (p *policyTest) callServices(ctx context.Context) error {
	var calls []*call
	for _, from := range []string{"blue/client", "green/client"} { // one a node
		for _, to := range []string{"blue/web.svc", "blue/api.svc"} {
			c, err := p.parse(from + " -> " + to + " 80")
			if err != nil {
				return err
			}
			calls = append(calls, c)
		}
	}
	if err := p.make(ctx, calls); err != nil {
		return err
	}
	for _, c := range calls {
		for _, a := range c.attempts {
			if !strings.HasSuffix(a.answer, " answers") {
				return fmt.Errorf("%s, at %s: %s", c.line, a.to, a.answer)
			}
		}
	}
	return nil
}

// policyNamespaces are those of the pods in the scripts.
func policyNamespaces() []string { return []string{"blue", "green"} }

// remove removes all of it, and waits until the pods' addresses are free.
func (p *policyTest) remove(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), testTimeout)
	defer cancel()
	for _, n := range p.Nodes() {
		check(t, netpol.Remove(ctx, n.NS))
	}
	for _, namespace := range policyNamespaces() {
		_, err := p.Kubectl(ctx, "--namespace", namespace, "delete", "networkpolicies,pods", "--all")
		check(t, err)
		_, err = p.Kubectl(ctx, "delete", "namespace", namespace, "--wait=false")
		check(t, err)
	}
}

func (p *policyTest) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	ctx := testContext(t)
	switch d.Cmd {
	case "policies":
		check(t, p.replace(ctx, d.Input))
	case "drop":
		var node string
		var port int
		d.ScanArgs(t, "node", &node)
		d.ScanArgs(t, "port", &port)
		rule, err := p.Node(node).AddDrop(lab.Drop{Protocol: lab.TCP, Port: uint16(port)})
		check(t, err)
		t.Cleanup(func() { check(t, rule.Remove()) })
	case "call":
		return p.call(ctx, t, d)
	default:
		d.Fatalf(t, "unknown command")
	}
	return ""
}

// call makes calls, and waits until what is told of them is what is expected, or
// for long enough.
func (p *policyTest) call(ctx context.Context, t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var calls []*call
	for line := range strings.SplitSeq(d.Input, "\n") {
		c, err := p.parse(line)
		check(t, err)
		calls = append(calls, c)
	}
	check(t, p.make(ctx, calls))
	ctx, cancel := context.WithTimeout(ctx, flowsTimeout)
	defer cancel()
	told := p.tell(calls)
	for told != d.Expected && p.flows.wait(ctx) {
		told = p.tell(calls)
	}
	p.made, p.told = append(p.made, calls), append(p.told, told)
	return told
}

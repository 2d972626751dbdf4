//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/fovea-obs/fovea/hack/cluster"
	agents "github.com/fovea-obs/fovea/hack/process"
)

const (
	// installTimeout is how long all of the installation's test may take.
	installTimeout = 10 * time.Minute
	// firstFlows is how long it may take from nothing to flows of every node.
	firstFlows = time.Minute
)

// TestInstall does what the documents say, on a cluster with pods that talk with each
// other all the time: it installs, asks, upgrades and uninstalls. None of it costs a
// packet, and nothing is left.
func TestInstall(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces")
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	i := newInstallTest(ctx, t)
	i.watchTraffic(ctx, t)
	before := i.look(ctx, t)
	ctx = i.enforcePolicies(ctx, t)

	t.Run("install", func(t *testing.T) { i.testInstall(ctx, t) })
	if t.Failed() {
		i.describe(ctx, t)
		return
	}
	t.Run("access", func(t *testing.T) { i.testAccess(ctx, t) })
	t.Run("documents", func(t *testing.T) { i.testDocuments(ctx, t) })
	t.Run("upgrade", func(t *testing.T) { i.testUpgrade(ctx, t) })
	t.Run("rotation", func(t *testing.T) { i.testRotation(ctx, t) })
	t.Run("uninstall", func(t *testing.T) { i.testUninstall(ctx, t, before) })
	i.documents.allTaken(t)
	check(t, i.judgeTraffic(ctx, t, 1000))
}

// installTest is a cluster that nothing of ours is on yet.
type installTest struct {
	*fixture
	shell     *shell
	documents documents
	// ask is what the documents say to do before hubble is used.
	ask string
}

func newInstallTest(ctx context.Context, t *testing.T) *installTest {
	t.Helper()
	c, err := cluster.Start(ctx, cluster.Config{})
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	i := &installTest{fixture: &fixture{Cluster: c}, documents: readDocuments(t)}
	workload := filepath.Join(t.TempDir(), "workload")
	check(t, cluster.Build(ctx, workload, "hack/cluster/workload"))
	check(t, c.LoadImage(ctx, "fovea.test/workload:1", workload))
	i.loadImage(ctx, t)
	i.shell = newShell(ctx, t, c)
	return i
}

// loadImage makes the image of the chart's version as the Makefile does, and brings it to
// the nodes as its users do where there is no registry.
func (i *installTest) loadImage(ctx context.Context, t *testing.T) {
	t.Helper()
	chart, err := os.ReadFile(filepath.Join(root(t), "charts", "fovea", "Chart.yaml"))
	check(t, err)
	var of struct{ AppVersion string }
	check(t, yaml.Unmarshal(chart, &of))
	cmd := exec.CommandContext(ctx, "make", "image-archive", "VERSION="+of.AppVersion)
	cmd.Dir = root(t)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, text)
	}
	check(t, i.LoadArchive(ctx, filepath.Join(root(t), "bin", "fovea-image-"+runtime.GOARCH+".tar")))
}

// run runs a script and returns what it prints.
func (i *installTest) run(ctx context.Context, t *testing.T, script string) string {
	t.Helper()
	text, err := i.shell.run(ctx, script)
	check(t, err)
	return text
}

// testInstall installs, and waits for flows of every node.
func (i *installTest) testInstall(ctx context.Context, t *testing.T) {
	start := time.Now()
	// The images of Hubble UI are in a registry, which is not asked.
	install := i.documents.take(t, "install.md", "Install")
	i.run(ctx, t, strings.TrimSpace(install)+" --set ui.enabled=false")
	t.Logf("installed after %v", time.Since(start))
	i.ask = i.documents.take(t, "install.md", "Ask")
	i.run(ctx, t, i.ask)
	eventually(ctx, t, func() error {
		text, err := i.shell.run(ctx, "hubble observe -P --last 100 --output jsonpb")
		if err != nil {
			return err
		}
		for _, n := range i.Nodes() {
			if !strings.Contains(text, fmt.Sprintf(`"node_name":"%s"`, n.Name)) && !strings.Contains(text, "/"+n.Name+`"`) {
				return fmt.Errorf("no flow of %s", n.Name)
			}
		}
		return nil
	})
	took := time.Since(start)
	t.Logf("flows of every node after %v", took)
	if took > firstFlows {
		t.Errorf("flows of every node after %v, want %v", took, firstFlows)
	}
}

// describe says what is wrong with pods of ours.
func (i *installTest) describe(ctx context.Context, t *testing.T) {
	t.Helper()
	text, _ := i.shell.run(ctx, `kubectl -n kube-system get pods -o wide; kubectl -n kube-system describe pods;
		for p in $(kubectl -n kube-system get pods -o name); do echo $p; kubectl -n kube-system logs $p --tail 30 || true; done`)
	t.Log(text)
}

// testUninstall uninstalls, and looks for what is left.
func (i *installTest) testUninstall(ctx context.Context, t *testing.T, before holdings) {
	var held []agents.Objects
	for _, p := range ourProcesses(t) {
		if h, err := agents.Held(p.pid); err == nil { // a relay has none
			held = append(held, h)
		}
	}
	if len(held) != len(i.Nodes()) {
		t.Errorf("%d processes have BPF programs, want the agents of %d nodes", len(held), len(i.Nodes()))
	}
	start := time.Now()
	i.run(ctx, t, i.documents.take(t, "install.md", "Uninstall"))
	t.Logf("uninstalled after %v", time.Since(start))
	i.nothingLeft(ctx, t, before, held)
}

// testDocuments does what all documents say in the order of their sections, but for
// what changes the installation or ends it.
func (i *installTest) testDocuments(ctx context.Context, t *testing.T) {
	for _, s := range slices.Clone(i.documents) {
		if s.document == "install.md" && (s.heading == "All anew" || s.heading == "Upgrade" || s.heading == "Uninstall") {
			continue
		}
		t.Run(s.document+" "+s.heading, func(t *testing.T) {
			commands := ourImage.Replace(i.documents.take(t, s.document, s.heading))
			if s.document == "drops.md" && s.heading == "An example" {
				i.testDrops(ctx, t, commands)
			} else {
				t.Log(i.run(ctx, t, commands))
			}
		})
	}
}

// ourImage puts what no registry is needed for in the place of the images in the
// documents.
var ourImage = strings.NewReplacer(
	"nginx:1.29", "fovea.test/workload:1 -- /workload server -tcp :80",
	"busybox:1.37 -- sleep infinity", "fovea.test/workload:1 -- /workload server",
	"wget -T 2 -q -O /dev/null http://web", "/workload client -count 1 -timeout 2s http://web:80",
)

// testDrops does what the example of a drop does. Flows must name the policy as both the
// text before it and the stock hubble print it.
func (i *installTest) testDrops(ctx context.Context, t *testing.T, commands string) {
	t.Helper()
	text := i.run(ctx, t, commands)
	for _, want := range []string{
		"Policy denied DROPPED (TCP Flags: SYN; NETFILTER_DROP at nft_do_chain; inferred: ingress denied by NetworkPolicy demo/nobody)",
		"policy-verdict:none INGRESS DENIED BY nobody (NetworkPolicy) (TCP Flags: SYN; NETFILTER_DROP at nft_do_chain; inferred: ingress denied by NetworkPolicy demo/nobody)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
		if document, err := os.ReadFile(filepath.Join(root(t), "docs", "drops.md")); err != nil || !strings.Contains(string(document), want) {
			t.Errorf("docs/drops.md does not show %q: %v", want, err)
		}
	}
}

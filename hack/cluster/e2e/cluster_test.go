//go:build e2e

package e2e

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/hack/cluster"

	// Built and run as a process: a change of it makes cached results void.
	_ "github.com/fovea-obs/fovea/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// podAddresses are few more than there are pods on a node, so that an address is
// soon given to the next.
const podAddresses = 12

// testTimeout is how long a test on a cluster may take.
const testTimeout = 3 * time.Minute

func TestCluster(t *testing.T) {
	for _, proxy := range []cluster.ProxyMode{cluster.Iptables, cluster.Nftables} {
		t.Run(string(proxy), func(t *testing.T) {
			f := newFixture(t, proxy)
			for _, test := range []struct {
				name string
				run  func(*testing.T, *fixture)
				// Long ones are run with one of both.
				only cluster.ProxyMode
			}{
				{"access", testAccess, ""},
				{"agent starts", testAgentStarts, ""},
				{"clients reach servers", testClients, ""},
				{"cron job", testCronJob, cluster.Iptables},
				{"hubble shows flows", testHubble, ""},
				{"names", testNames, ""},
				{"names without API server", testNamesWithoutAPI, cluster.Nftables},
				{"agents killed", testAgentKilled, cluster.Nftables},
				{"policies", testPolicies, ""},
				{"churn", testChurn, cluster.Iptables},
				{"without API server", testWithoutAPIServer, ""},
				{"close", testClose, ""},
			} {
				if test.only == "" || test.only == proxy {
					t.Run(test.name, func(t *testing.T) { test.run(t, f) })
				}
			}
		})
	}
}

// fixture is a cluster with the shop in it.
type fixture struct {
	*cluster.Cluster
	before surroundings
}

func newFixture(t *testing.T, proxy cluster.ProxyMode) *fixture {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to make network namespaces")
	}
	before := lookAround(t)
	// The first start builds Kubernetes.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{
		Proxy: proxy, PodAddresses: podAddresses, Names: map[string]netip.Addr{outsideName: outsideAddr},
	})
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	dir := t.TempDir()
	for image, path := range map[string]string{"workload": "hack/cluster/workload", "fovea": "."} {
		program := filepath.Join(dir, image)
		check(t, cluster.Build(ctx, program, path))
		check(t, c.LoadImage(ctx, "fovea.test/"+image+":1", program))
	}
	startOutside(t, c, filepath.Join(dir, "workload"))
	return &fixture{Cluster: c, before: before}
}

// outsideName is a server outside the cluster, which its DNS knows.
const outsideName = "api.example.com"

var outsideAddr = netip.MustParseAddr("203.0.113.7")

// startOutside starts a server outside the cluster, which ends with it.
func startOutside(t *testing.T, c *cluster.Cluster, workload string) {
	t.Helper()
	check(t, c.Lab().AddOutside(outsideAddr))
	cmd := exec.Command(workload, "server")
	cmd.Env = []string{"POD_NAMESPACE=outside", "POD_NAME=api"}
	check(t, c.Lab().Fabric().Start(cmd))
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		check(t, c.Close())
		<-done
	})
}

// testContext ends with the test, or when it takes far too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually calls done until it returns no error.
func eventually(ctx context.Context, t *testing.T, done func() error) {
	t.Helper()
	for {
		err := done()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

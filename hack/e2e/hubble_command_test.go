package e2e

import (
	"bytes"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

// commandLine runs the stock command line against a relay: ours by its socket, Hubble's
// in the namespace that it is in.
func (f *federation) commandLine(t *testing.T, relay *process.Agent, args ...string) (out string) {
	t.Helper()
	program, err := stock.Hubble(t.Context())
	check(t, err)
	server := process.HubbleRelayAddress
	if relay.Socket != "" {
		server = "unix://" + relay.Socket
	}
	cmd := exec.CommandContext(testContext(t), program, append([]string{"--server", server}, args...)...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "TZ=UTC"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := f.lab.Fabric().Run(cmd); err != nil {
		t.Fatalf("hubble %v: %v\n%s", args, err, &stderr)
	}
	return stdout.String()
}

// printed are the flows that the command line prints.
func (f *federation) printed(t *testing.T, relay *process.Agent, args ...string) (flows []*observerpb.GetFlowsResponse) {
	t.Helper()
	for line := range strings.Lines(f.commandLine(t, relay, append([]string{"observe", "-o", "jsonpb"}, args...)...)) {
		r := &observerpb.GetFlowsResponse{}
		check(t, protojson.Unmarshal([]byte(line), r))
		if r.GetFlow() != nil {
			flows = append(flows, r)
		}
	}
	slices.SortFunc(flows, byTimeAndNode)
	return flows
}

// numbers are what changes all the time, and the addresses of relays, in what the command
// line prints of their state.
var numbers = regexp.MustCompile(`\(via \S+\)|\b(\d+[hms])+\b|\b\d[\d.,]*\b| +`)

// connected is what the command line prints of a relay that has all nodes.
var connected = regexp.MustCompile(`(?m)^Connected Nodes: 2/2$`)

// compareCommandLine has the stock command line print the same of both relays.
func (f *federation) compareCommandLine(t *testing.T, hubble *process.Agent, until time.Time) {
	to := until.Format(time.RFC3339Nano)
	for name, args := range map[string][]string{
		"all":      {"--since", "1h", "--until", to},
		"filtered": {"--since", "1h", "--until", to, "--port", "80", "--not", "--protocol", "udp", "--node-name", f.near.Name},
		"whole":    {"--since", "1h", "--until", to, "--use-default-field-masks=false"},
	} {
		ours, theirs := f.printed(t, f.relay, args...), f.printed(t, hubble, args...)
		t.Logf("%s: %d flows", name, len(ours))
		same(t, theirs, ours)
		if len(ours) == 0 {
			t.Errorf("%s: no flows", name)
		}
	}
	// Hubble's relay tells so many of each node.
	ours, theirs := f.printed(t, f.relay, "--last", "20", "--until", to), f.printed(t, hubble, "--last", "20", "--until", to)
	if len(theirs) != 40 || len(ours) != 20 {
		t.Fatalf("of the last 20 Hubble's relay tells %d, and ours %d", len(theirs), len(ours))
	}
	same(t, theirs[20:], ours)
	check(t, hubble.Healthy(testContext(t)))
	for _, args := range [][]string{{"status"}, {"list", "nodes"}, {"list", "namespaces"}} {
		ours, theirs := f.commandLine(t, f.relay, args...), f.commandLine(t, hubble, args...)
		a, b := numbers.ReplaceAllString(ours, "N"), numbers.ReplaceAllString(theirs, "N")
		if a != b || args[0] == "status" && (!connected.MatchString(ours) || !connected.MatchString(theirs)) {
			t.Errorf("hubble %s prints\n%sof Hubble's relay\n%s", args, ours, theirs)
		}
	}
}

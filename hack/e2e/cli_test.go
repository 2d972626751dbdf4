package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"github.com/cockroachdb/datadriven"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
	"github.com/fovea-obs/fovea/hack/process"
	"github.com/fovea-obs/fovea/hack/stock"
)

// TestCLI asks an agent with the stock hubble command line. The files in
// testdata/cli have a command line each, and what it prints, with all that
// differs from run to run replaced by words in capitals:
//
//	hubble
//	observe --verdict DROPPED
//
// JSON is indented, as what Hubble prints differs in its spaces.
func TestCLI(t *testing.T) {
	needRoot(t)
	c := newCommandLine(t)
	datadriven.Walk(t, "testdata/cli", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return c.run(t, strings.Fields(d.Input)...)
		})
	})
	t.Run("follow", c.testFollow)
	t.Run("watch peers", c.testWatchPeers)
}

// commandLine is the stock hubble, and an agent that has seen some traffic.
type commandLine struct {
	*shop
	hubble string
	agent  *process.Agent
	// words replace what differs from run to run, in command lines.
	words map[string]string
}

func newCommandLine(t *testing.T) *commandLine {
	t.Helper()
	hubble, err := stock.Hubble(t.Context())
	check(t, err)
	c := &commandLine{shop: newShop(t), hubble: hubble}
	w := watchPods(t, c.near, false)
	since := time.Now()
	c.agent = startAgent(t, c.agentConfig(t, c.near, "--aggregation-interval", "1s"))
	f := follow(t, c.agent, since, nil)
	w.begin(t)
	r := c.newRendezvous()
	check(t, r.begin(t, c.talkTo(c.web4, c.web, 40001, 80)).close())
	check(t, r.begin(t, c.talkTo(netip.AddrPortFrom(c.db.IPv6, 5432), c.db, 40002, 5432)).close())
	c.refuse(t, 40003)
	middle := time.Now()
	udp := c.talkTo(c.dns4, c.db, 40004, 53)
	udp.proto = capture.UDP
	r.begin(t, udp)
	_, err = lab.Ping{Target: c.client.IPv4, ID: 7}.Run(testContext(t), c.db.NS)
	check(t, err)
	_, err = lab.Ping{Target: c.outside, ID: 8}.Run(testContext(t), c.web.NS)
	check(t, err)
	w.compare(t, f)
	ping, err := f.await(testContext(t), "a ping", func(f *flowpb.Flow) bool { return f.GetL4().GetICMPv4() != nil })
	check(t, err)
	c.words = map[string]string{
		"START": since.Format(time.RFC3339Nano), "MIDDLE": middle.Format(time.RFC3339Nano), "UUID": ping.GetUuid(),
	}
	return c
}

// talkTo is a conversation of the client's.
func (c *commandLine) talkTo(to netip.AddrPort, pod *lab.Pod, from, port uint16) dial {
	return dial{proto: capture.TCP, from: c.client.NS, port: from, to: to, pod: pod, podPort: port}
}

// refuse talks to a port that nobody listens on.
func (c *commandLine) refuse(t *testing.T, from uint16) {
	t.Helper()
	d := c.talkTo(netip.AddrPortFrom(c.web.IPv4, closedPort), c.web, from, closedPort)
	if conn, err := d.connect(testContext(t)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("connect to a closed port: %v, %v", err, closeConn(conn))
	}
}

// command is hubble with these arguments.
func (c *commandLine) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(slices.Clone(args), "--server", "unix://"+c.agent.Socket)
	for i := range args {
		if w, ok := c.words[args[i]]; ok {
			args[i] = w
		}
	}
	return exec.CommandContext(ctx, c.hubble, args...)
}

func (c *commandLine) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := c.command(testContext(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	text := indentJSON(out.String()) + errs.String()
	if err != nil {
		text += err.Error() + "\n"
	}
	return c.normal(text)
}

// indentJSON indents the lines that are JSON.
func indentJSON(text string) string {
	var b bytes.Buffer
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") || json.Indent(&b, []byte(line), "", " ") != nil {
			b.WriteString(line)
		}
	}
	return b.String()
}

// normal replaces what differs from run to run.
func (c *commandLine) normal(text string) string {
	text = strings.ReplaceAll(text, c.agent.Socket, "SOCKET")
	for _, r := range []struct{ pattern, with string }{
		{`[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d\.\d{3}`, "TIME"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`, "TIME"},
		{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "UUID"},
		{`[0-9a-f]{2}(:[0-9a-f]{2}){5}`, "MAC"},
		{`"version": "[^"]*"`, `"version": VERSION`},
		// The kernel's functions have other names in other versions.
		{`at [a-z_0-9]+_rcv`, "at FUNCTION"},
		{`"location": "[a-z_0-9]+"`, `"location": FUNCTION`},
		{`[\d,]+/[\d,]+ \( *[\d.]+%\)`, "N/N (N%)"},
		{`Flows/s: [\d.]+`, "Flows/s: N"},
		{`\d+s +[\d.]+ +`, "AGE   RATE   "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// testFollow checks that flows are printed as they happen.
func (c *commandLine) testFollow(t *testing.T) {
	lines := c.start(t, "observe", "--follow", "--protocol", "icmpv4", "--from-pod", "shop/db-0", "--traffic-direction", "ingress")
	ctx := testContext(t)
	deadline := time.After(10 * time.Second)
	// The client says nothing when it has begun to follow.
	for id := uint16(100); ; id++ {
		_, err := lab.Ping{Target: c.client.IPv4, ID: id}.Run(ctx, c.db.NS)
		check(t, err)
		select {
		case line := <-lines:
			for _, want := range []string{"shop/db-0 ", " -> shop/client ", " to-endpoint FORWARDED (ICMPv4 EchoRequest)"} {
				if !strings.Contains(line, want) {
					t.Errorf("printed %q, want %q in it", line, want)
				}
			}
			return
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatal("nothing was printed")
		}
	}
}

// testWatchPeers checks that the agent tells of itself.
func (c *commandLine) testWatchPeers(t *testing.T) {
	lines := c.start(t, "watch", "peers")
	select {
	case line := <-lines:
		if want := "PEER_ADDED unix://" + c.agent.Socket + " node1"; strings.Join(strings.Fields(line), " ") != want {
			t.Errorf("printed %q, want %q", line, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was printed")
	}
}

// start starts hubble until the test ends, and returns the lines it prints.
func (c *commandLine) start(t *testing.T, args ...string) <-chan string {
	t.Helper()
	cmd := c.command(context.Background(), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := make(chan string, 1000)
	read := make(chan struct{})
	go func() {
		defer func() { read <- struct{}{} }()
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		check(t, cmd.Process.Kill())
		<-read
		_ = cmd.Wait() // it was killed
		if errs.Len() > 0 {
			t.Errorf("hubble %v: %s", args, errs.String())
		}
	})
	return lines
}

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	_ "google.golang.org/protobuf/types/known/structpb" // of flows' extensions
)

// cli is a command that runs hubble against the script's agent. It has no
// settings but the arguments, and Go's for programs that end soon.
func (s *script) cli(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	server := "unix://" + s.agent.Socket
	if s.tcp {
		server = s.agent.node.IPv4.String() + tcpAddress
	}
	cmd := exec.CommandContext(testContext(t), s.program, append([]string{"--server", server}, args...)...)
	cmd.Env = []string{"HOME=" + s.home, "TZ=UTC", "GOGC=off", "GOMAXPROCS=1"}
	return cmd
}

// begin starts the command, in the agent's namespace if that is needed.
func (s *script) begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	begin := cmd.Start
	if s.tcp {
		begin = func() error { return s.agent.node.NS.Start(cmd) }
	}
	check(t, begin())
}

// finish runs hubble to its end and returns what it prints, errors last, and
// how it ended.
func (s *script) finish(t *testing.T, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := s.cli(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	s.begin(t, cmd)
	err := cmd.Wait()
	return stdout.String() + stderr.String(), err
}

// hubble returns what hubble prints and, if it fails, how it ended.
func (s *script) hubble(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.finish(t, nil, args...)
	if err != nil {
		out += err.Error() + "\n"
	}
	return out
}

// observe is hubble observe, which must not fail.
func (s *script) observe(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.finish(t, nil, append([]string{"observe"}, args...)...)
	if err != nil {
		t.Fatalf("hubble observe %v: %v\n%s", args, err, out)
	}
	return out
}

// pick takes the last flow that hubble observe prints and returns it as a line.
func (s *script) pick(t *testing.T, args []string) string {
	t.Helper()
	out := s.observe(t, append([]string{"--last", "1", "-o", "jsonpb"}, args...)...)
	var r observerpb.GetFlowsResponse
	if err := protojson.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("hubble printed no single flow: %v\n%s", err, out)
	}
	f := r.GetFlow()
	s.picked = map[string]string{
		"uuid":        f.GetUuid(),
		"time":        f.GetTime().AsTime().Format("2006-01-02T15:04:05.000000000Z"),
		"source":      fmt.Sprint(f.GetSource().GetIdentity()),
		"destination": fmt.Sprint(f.GetDestination().GetIdentity()),
	}
	if p := f.GetL4().GetTCP().GetSourcePort(); p != 0 {
		s.picked["port"] = fmt.Sprint(p)
	}
	return normal(s.observe(t, "--uuid", f.GetUuid()))
}

// pipe has hubble read what it printed.
func (s *script) pipe(t *testing.T, args []string) string {
	t.Helper()
	flows := s.observe(t, append([]string{"-o", "jsonpb"}, args...)...)
	out, err := s.finish(t, strings.NewReader(flows), "observe", "--input-file", "-")
	check(t, err)
	return out
}

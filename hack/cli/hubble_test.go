package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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

// finish runs hubble to its end and returns what it prints, its errors and how
// it ended.
func (s *script) finish(t *testing.T, stdin io.Reader, args ...string) (out, errs string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := s.cli(t, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	s.begin(t, cmd)
	err = cmd.Wait()
	return stdout.String(), stderr.String(), err
}

// hubble returns what hubble prints, errors last, and how it ended if it fails.
func (s *script) hubble(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := s.finish(t, bytes.NewReader(s.saved), args...)
	if err != nil {
		errs += err.Error() + "\n"
	}
	return out + errs
}

// observe is hubble observe, which must not fail.
func (s *script) observe(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	out, errs, err := s.finish(t, stdin, append([]string{"observe"}, args...)...)
	if err != nil {
		t.Fatalf("hubble observe %v: %v\n%s%s", args, err, out, errs)
	}
	return out
}

// flows returns the kinds of flows that pass filters, with the names of all
// addresses. Those that the agent finds are to be those that hubble finds by
// itself among all.
func (s *script) flows(t *testing.T, args []string) string {
	t.Helper()
	args = slices.Concat([]string{"--last", "10000", "--use-default-field-masks=false"}, args)
	found := kinds(s.observe(t, nil, args...))
	if !slices.Contains(args, "--input-file") {
		all := s.observe(t, nil, "--all", "-o", "jsonpb")
		if by := kinds(s.observe(t, strings.NewReader(all), append(args, "--input-file", "-")...)); by != found {
			t.Errorf("hubble observe %v: the agent finds\n%sand hubble itself\n%s", args, found, by)
		}
	}
	return found
}

// pick takes the last flow, or agent event, that hubble observe prints and
// returns it as a line.
func (s *script) pick(t *testing.T, args []string) string {
	t.Helper()
	if len(args) > 0 && args[0] == "agent-events" {
		return s.pickEvent(t, args)
	}
	out := s.observe(t, nil, append([]string{"--last", "1", "-o", "jsonpb"}, args...)...)
	var r observerpb.GetFlowsResponse
	if err := protojson.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("hubble printed no single flow: %v\n%s", err, out)
	}
	f := r.GetFlow()
	s.at = f.GetTime().AsTime()
	s.picked = map[string]string{
		"uuid":        f.GetUuid(),
		"time":        s.at.Format(time.RFC3339Nano),
		"source":      fmt.Sprint(f.GetSource().GetIdentity()),
		"destination": fmt.Sprint(f.GetDestination().GetIdentity()),
	}
	if p := f.GetL4().GetTCP().GetSourcePort(); p != 0 {
		s.picked["port"] = fmt.Sprint(p)
	}
	return normal(s.observe(t, nil, "--uuid", f.GetUuid()))
}

func (s *script) pickEvent(t *testing.T, args []string) string {
	t.Helper()
	var r observerpb.GetAgentEventsResponse
	out := s.observe(t, nil, append(slices.Clone(args), "--last", "1", "-o", "jsonpb")...)
	check(t, protojson.Unmarshal([]byte(out), &r))
	s.at = r.GetTime().AsTime()
	s.picked = map[string]string{"time": s.at.Format(time.RFC3339Nano)}
	return normal(s.observe(t, nil, append(args, "--last", "1")...))
}

// save has hubble print for later commands, and returns how many lines.
func (s *script) save(t *testing.T, args []string) string {
	t.Helper()
	out, errs, err := s.finish(t, nil, args...)
	if err != nil {
		t.Fatalf("hubble %v: %v\n%s", args, err, errs)
	}
	s.saved = []byte(out)
	s.write(t, "saved", s.saved)
	return lines(out)
}

// lines tells how many there are.
func lines(text string) string { return fmt.Sprintf("%d lines\n", strings.Count(text, "\n")) }

// write writes a file that later commands know by the name.
func (s *script) write(t *testing.T, name string, content []byte) {
	t.Helper()
	s.files[name] = filepath.Join(t.TempDir(), name+".yaml")
	check(t, os.WriteFile(s.files[name], content, 0o600))
}

// formatted is what hubble printed, with the name of a --time-format in place of
// the picked flow's time.
func (s *script) formatted(args []string, out string) string {
	i := slices.Index(args, "--time-format") + 1
	if i == 0 || i == len(args) || s.picked == nil {
		return out
	}
	for _, f := range s.timeFormats {
		if f.name == args[i] {
			at := regexp.MustCompile(`(?m)^((-*  TIMESTAMP: )?)` + regexp.QuoteMeta(s.at.Format(f.layout)))
			out = at.ReplaceAllString(out, "${1}"+f.name)
		}
	}
	return out
}

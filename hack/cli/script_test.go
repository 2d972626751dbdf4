package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// script is one that runs.
type script struct {
	*fixture
	// agent is the one that is asked, over TCP or its socket.
	agent *agent
	tcp   bool
	// picked is what later commands call the last picked flow's values.
	picked  map[string]string
	started *background
}

func newScript(t *testing.T, f *fixture) *script {
	s := &script{fixture: f, agent: f.agents[f.near.Name]}
	t.Cleanup(s.kill)
	return s
}

// command runs a command of a script:
//
//	hubble ARGS       hubble with these arguments, and what it prints
//	flows ARGS        hubble observe with these filters: each kind of line once
//	count ARGS        the number of lines that hubble prints
//	pick ARGS         the last such flow. From then on its values are $uuid,
//	                  $time, $port, $source and $destination (identities)
//	pipe ARGS         hubble observe, of what it printed as JSON
//	use NODE [tcp]    ask this node's agent from now on, over its socket or TCP
//
// and in the scripts that have things happen:
//
//	send PROTO A B    udp or tcp from an app's pod to that of another, or to the
//	                  service; with again, until the started hubble prints a line
//	edit              change the endpoints file, "old => new" on each line, and
//	                  what the agent logs of that
//	start ARGS        hubble in the background
//	await lines=N     wait for the next lines that it prints
//	stop              interrupt it, and what it prints at last
//	kill              end it, whatever it prints
func (s *script) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch args := s.args(t, d); d.Cmd {
	case "hubble":
		return normal(s.hubble(t, args...))
	case "flows":
		return kinds(s.observe(t, slices.Concat([]string{"--last", "10000"}, args)...))
	case "count":
		return fmt.Sprintf("%d lines\n", strings.Count(s.hubble(t, args...), "\n"))
	case "pick":
		return s.pick(t, args)
	case "pipe":
		return normal(s.pipe(t, args))
	case "use":
		s.use(t, args)
	case "send":
		return normal(s.send(t, args))
	case "edit":
		return s.edit(t, d.Input)
	case "start":
		s.start(t, args)
	case "await":
		var lines int
		d.ScanArgs(t, "lines", &lines)
		return normal(s.await(t, lines))
	case "stop":
		return normal(s.stop(t))
	case "kill":
		s.kill()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return ""
}

// args are the words of the command's line, with what was picked. Those in
// single quotes may hold spaces.
func (s *script) args(t *testing.T, d *datadriven.TestData) []string {
	t.Helper()
	var line []string
	for _, a := range d.CmdArgs {
		line = append(line, a.String())
	}
	quoted := false
	words := strings.FieldsFunc(strings.Join(line, " "), func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	if quoted {
		d.Fatalf(t, "a quote that does not end")
	}
	for i, w := range words {
		words[i] = os.Expand(strings.ReplaceAll(w, "'", ""), func(name string) string {
			if s.picked[name] == "" {
				d.Fatalf(t, "no flow was picked that has a %s", name)
			}
			return s.picked[name]
		})
	}
	return words
}

func (s *script) use(t *testing.T, args []string) {
	t.Helper()
	s.tcp = slices.Contains(args, "tcp")
	if s.agent = s.agents[args[0]]; s.agent == nil {
		t.Fatalf("no agent on node %s", args[0])
	}
}

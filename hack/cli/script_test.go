package cli

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// script is one that runs.
type script struct {
	*fixture
	// agent is the one that is asked, over TCP or its socket.
	agent *agent
	tcp   bool
	// picked is what later commands call the last picked flow's values.
	picked map[string]string
	at     time.Time // of the picked flow
	// files are the paths of clients' certificates and of those that the script
	// wrote, by name, and saved what it had hubble save last.
	files   map[string]string
	saved   []byte
	started *background
}

func newScript(t *testing.T, f *fixture) *script {
	s := &script{fixture: f, agent: f.agents[f.near.Name], files: maps.Clone(f.keys.files)}
	t.Cleanup(s.kill)
	return s
}

// command runs a command of a script:
//
//	hubble ARGS       hubble with these arguments, and what it prints. With
//	                  --time-format, the picked flow's time is that format's name
//	flows ARGS        hubble observe with these filters: each kind of line once.
//	                  They are to pick what hubble itself picks among all flows
//	count ARGS        the number of lines that hubble prints
//	pick ARGS         the last such flow. From then on its values are $uuid,
//	                  $time, $port, $source and $destination (identities). After
//	                  agent-events, the last such event, and its $time
//	terminal ARGS     hubble with a terminal as its output
//	save ARGS         hubble, for others to read what it prints: it is their
//	                  input, and $saved the path of a file with it
//	file NAME         a file with the lines below, and $NAME its path
//	use relay         ask the relay over all agents from now on
//	use lonely        the same of a relay over node1, and node3, which is away
//	use NODE [tcp]    ask this node's agent from now on, over its socket or TCP.
//	                  That of node2 has TLS. Its authority is called our, and there
//	                  is an other: of both there are $ourCA, $ourCert and $ourKey
//
// and in the scripts that have things happen:
//
//	send PROTO A B    udp or tcp from an app's pod to that of another, or to the
//	                  service; with again, until the started hubble prints a line
//	edit              change the endpoints file, "old => new" on each line, and
//	                  what the agent logs of that
//	renew AUTHORITY   a new certificate for the agent of node2, and other clients
//	                  to trust, and what it logs of that; with half, half of one
//	start ARGS        hubble in the background
//	await lines=N     wait for the next lines that it prints
//	stop              interrupt it, and what it prints at last
//	kill              end it, whatever it prints
func (s *script) command(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch args := s.args(t, d); d.Cmd {
	case "hubble":
		return normal(s.formatted(args, s.hubble(t, args...)))
	case "flows":
		return s.flows(t, args)
	case "count":
		return lines(s.hubble(t, args...))
	case "pick":
		return s.pick(t, args)
	case "terminal":
		return normal(s.terminal(t, args))
	case "save":
		return s.save(t, args)
	case "file":
		s.write(t, args[0], []byte(d.Input+"\n"))
	case "use":
		s.use(t, args)
	case "send":
		return normal(s.send(t, args))
	case "edit":
		return s.edit(t, d.Input)
	case "renew":
		return s.renew(t, args)
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

// args are the words of the command's line, with what was picked.
func (s *script) args(t *testing.T, d *datadriven.TestData) []string {
	t.Helper()
	args := words(t, d)
	for i, w := range args {
		args[i] = os.Expand(w, func(name string) string {
			v := s.picked[name] + s.files[name]
			if v == "" {
				d.Fatalf(t, "no flow was picked that has a %s, and no such file written", name)
			}
			return v
		})
	}
	return args
}

// words are those of the command's line, and the lines below it as one more.
// Those in single quotes may hold spaces.
func words(t *testing.T, d *datadriven.TestData) []string {
	t.Helper()
	var line []string
	for _, a := range d.CmdArgs {
		line = append(line, a.String())
	}
	quoted := false
	all := strings.FieldsFunc(strings.Join(line, " "), func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	if quoted {
		d.Fatalf(t, "a quote that does not end")
	}
	for i, w := range all {
		all[i] = strings.ReplaceAll(w, "'", "")
	}
	if d.Input != "" && d.Cmd != "file" && d.Cmd != "edit" {
		all = append(all, d.Input)
	}
	return all
}

// hubbleArgs are the arguments with which a script's command runs hubble, or nil
// if it does not.
func hubbleArgs(command string, args []string) []string {
	switch command {
	case "hubble", "count", "terminal", "save", "start":
		return args
	case "flows":
		return append([]string{"observe", "--last", "10000", "--use-default-field-masks=false"}, args...)
	case "pick":
		return append([]string{"observe", "--last", "1", "-o", "jsonpb"}, args...)
	}
	return nil
}

func (s *script) use(t *testing.T, args []string) {
	t.Helper()
	s.tcp = slices.Contains(args, "tcp")
	if s.agent = cmp.Or(s.relays[args[0]], s.agents[args[0]]); s.agent == nil {
		t.Fatalf("no agent on node %s, and no such relay", args[0])
	}
}

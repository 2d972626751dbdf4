package cli

import (
	"maps"
	"os/exec"
	"slices"
	"testing"
)

// Commands of hubble whose help is gone through.
const (
	cmdObserve = "observe"
	cmdFlows   = "observe flows"
	cmdAgent   = "observe agent-events"
	cmdDebug   = "observe debug-events"
)

// stockHelps are the flags of each command.
func stockHelps(t *testing.T, program string) map[string][]flag {
	t.Helper()
	helps := map[string][]flag{}
	for command, args := range map[string][]string{
		cmdObserve: {"observe"}, cmdFlows: {"observe", "flows"},
		cmdAgent: {"observe", "agent-events"}, cmdDebug: {"observe", "debug-events"},
	} {
		out, err := exec.CommandContext(testContext(t), program, append(args, "--help")...).Output()
		check(t, err)
		if helps[command] = parseHelp(string(out)); len(helps[command]) == 0 {
			t.Fatalf("the help of hubble %s lists no flags:\n%s", command, out)
		}
	}
	return helps
}

// names are those of all flags, the short ones too.
func names(flags []flag) []string {
	all := map[string]bool{}
	for _, f := range flags {
		for _, n := range f.names {
			all[n] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// takers are the flags that take the word after them, with all their names.
func takers(flags []flag) map[string]flag {
	all := map[string]flag{}
	for _, f := range flags {
		for _, n := range f.names {
			all[n] = f
		}
	}
	return all
}

package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// use is a flag in a command line of a script.
type use struct {
	where   string // file and line
	command string // of hubble
	name    string // as written
	value   string // if it has one
	// shown is whether hubble did print something, and it was no error: then
	// the script shows what the flag does.
	shown bool
}

// scriptUses returns the flags that the scripts use, and each command itself as
// one whose name is "".
func scriptUses(t *testing.T, flags map[string]flag) []use {
	t.Helper()
	var uses []use
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		first, end := 0, 0 // where the uses of the hubble that runs are
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			shown := shows(d.Expected)
			if args := hubbleArgs(d.Cmd, words(t, d)); args != nil {
				before := len(uses)
				uses = append(uses, argUses(use{where: d.Pos, shown: shown}, args, flags)...)
				if d.Cmd == "start" {
					first, end = before, len(uses)
				}
			} else if shown && slices.Contains([]string{"await", "send", "stop"}, d.Cmd) {
				// It is what was started that has printed this.
				for i := first; i < end; i++ {
					uses[i].shown = true
				}
			}
			return d.Expected
		})
	})
	return uses
}

// shows tells whether a command's output shows what its flags do.
func shows(output string) bool {
	return strings.TrimSpace(output) != "" && output != "0 lines\n" && !strings.Contains(output, "exit status")
}

// argUses are the flags of a command line of hubble. One that --not turns around
// is not shown by what is printed: a flag that matches nothing prints it too.
func argUses(u use, args []string, flags map[string]flag) []use {
	var commands []string
	var uses []use
	not := false
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			commands = append(commands, args[i])
			continue
		}
		f := u
		f.name, f.value, _ = strings.Cut(args[i], "=")
		if flags[f.name].takesWord && f.name == args[i] && i+1 < len(args) {
			i++
			f.value = args[i]
		}
		f.shown = f.shown && !not
		not = f.name == "--not"
		uses = append(uses, f)
	}
	uses = append(uses, u)
	for i := range uses {
		uses[i].command = strings.Join(commands, " ")
	}
	return uses
}

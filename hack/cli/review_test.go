package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestHelp holds the scripts against the help of the stock command line: what
// it lists is shown to work, or unshown tells why it cannot be. It comes after
// TestHubble, which may rewrite the scripts.
func TestHelp(t *testing.T) {
	helps := stockHelps(t, stockHubble(t))
	if a, b := names(helps[cmdObserve]), names(helps[cmdFlows]); !slices.Equal(a, b) {
		t.Errorf("hubble observe has other flags than hubble observe flows: %q, %q", a, b)
	}
	uses := scriptUses(t, takers(helps[cmdObserve]))
	for _, complaint := range review(wanted(helps), uses, unshown()) {
		t.Error(complaint)
	}
}

// item is something in the help of a command that a script is to show.
type item struct {
	// name is that in the table of what is not shown: a command, a flag or a
	// flag with one of its values. Flags of the events' commands have the
	// command before them.
	name string
	// within are the names of what the item is part of.
	within []string
	// asks is whether it is a filter: those are tried even if all they can
	// select here is nothing.
	asks bool
	is   func(use) bool
}

// wanted returns all items of the helps. Flags of how hubble reaches a server
// and the like are the same with all commands.
func wanted(helps map[string][]flag) []item {
	var items []item
	for _, command := range []string{cmdObserve, cmdFlows, cmdAgent, cmdDebug} {
		items = append(items, item{name: command, is: func(u use) bool { return u.command == command && u.name == "" }})
		if command == cmdFlows {
			continue // has the flags of observe
		}
		for _, f := range helps[command] {
			own := slices.Contains([]string{"Selectors Flags", "Formatting Flags"}, f.section)
			if command == cmdObserve || own {
				items = append(items, flagItems(command, f)...)
			}
		}
	}
	return items
}

// flagItems are the flag's names and values.
func flagItems(command string, f flag) []item {
	prefix := ""
	within := []string{command}
	if command != cmdObserve {
		prefix = command + " "
	}
	ofFlow := func(u use) bool { return u.command == command || command == cmdObserve && u.command == cmdFlows }
	switch f.section {
	case "Server Flags", "Other Flags", "Global Flags", "Get help":
		ofFlow = func(use) bool { return true }
	}
	add := item{asks: strings.Contains(f.section, "Filters")}
	var items []item
	for _, name := range f.names {
		add.name, add.within = prefix+name, within
		add.is = func(u use) bool { return u.name == name && ofFlow(u) }
		items = append(items, add)
		within = []string{command, prefix + f.names[0]}
	}
	for _, v := range f.values {
		add.name, add.within = prefix+f.names[0]+" "+v.name, within
		add.is = func(u use) bool { return slices.Contains(f.names, u.name) && v.is(u.value) && ofFlow(u) }
		items = append(items, add)
	}
	return items
}

// review tells what is wrong with the scripts or with the table of what they
// cannot show.
func review(items []item, uses []use, unshown map[string]string) []string {
	var complaints []string
	known := map[string]bool{}
	for _, it := range items {
		known[it.name] = true
		tried := slices.IndexFunc(uses, it.is)
		shown := slices.IndexFunc(uses, func(u use) bool { return u.shown && it.is(u) })
		reason := unshown[it.name]
		for _, w := range it.within {
			reason += unshown[w]
		}
		switch {
		case shown < 0 && reason == "":
			complaints = append(complaints, fmt.Sprintf("no script shows %s", it.name))
		case shown >= 0 && unshown[it.name] != "":
			complaints = append(complaints, fmt.Sprintf("%s is listed as not shown, and is: %s", it.name, uses[shown].where))
		case tried < 0 && it.asks:
			complaints = append(complaints, fmt.Sprintf("no script asks for %s", it.name))
		}
	}
	for name := range unshown {
		if !known[name] {
			complaints = append(complaints, fmt.Sprintf("%s is listed as not shown, and hubble has none", name))
		}
	}
	return complaints
}

func TestReview(t *testing.T) {
	observe := []flag{
		{
			section: "Filters Flags", names: []string{"--kind", "-k"}, takesWord: true,
			values: []value{{name: "sun"}, {name: "rain"}},
		},
		{section: "Filters Flags", names: []string{"--not"}},
		{section: "Server Flags", names: []string{"--tls"}},
	}
	items := wanted(map[string][]flag{
		cmdObserve: observe, cmdFlows: observe,
		cmdAgent: {
			{section: "Selectors Flags", names: []string{"--last"}, takesWord: true},
			{section: "Server Flags", names: []string{"--tls"}},
		},
	})
	flags := takers(observe)
	var all []use
	for _, u := range []use{
		{command: "observe --kind sun", shown: true},
		{command: "observe flows -k rain --not"},
		{command: "observe --not --kind=rain", shown: true},
		{command: "status --tls"},
	} {
		all = append(all, argUses(use{shown: u.shown}, strings.Fields(u.command), flags)...)
	}
	got := review(items, all, map[string]string{
		"observe agent-events": "none", "--kind sun": "clouds", "--tls": "none", "--snow": "summer",
	})
	want := []string{
		"--kind sun is listed as not shown, and is: ",
		"no script shows --kind rain", "no script shows -k",
		"no script shows observe debug-events", "no script shows observe flows",
		"--snow is listed as not shown, and hubble has none",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("complaints:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

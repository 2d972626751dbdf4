package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// flag is one that the help of a command lists.
type flag struct {
	section string
	// names are as on the command line: the long one, then the short one if any.
	names []string
	// takesWord is whether the next word is its value.
	takesWord bool
	values    []value
}

// value is one that the help says a flag can have. Of a time it is a format's
// name with its layout, unless it is a length of time: relative.
type value struct{ name, layout string }

const relative = "relative"

// is tells whether the word of a command line is such a value. A time has all
// the digits of its layout, as others with fewer could be of several.
func (v value) is(word string) bool {
	if v.name == relative {
		_, err := time.ParseDuration(word)
		return err == nil
	}
	if t, err := time.Parse(v.layout, word); v.layout != "" && err == nil {
		return len(word) == len(v.layout) && t.Format(v.layout) == word
	}
	return word == v.name
}

// parseHelp returns the flags that a command's help lists.
func parseHelp(help string) []flag {
	var flags []flag
	var section string
	var text strings.Builder // of the last flag
	end := func() {
		if len(flags) > 0 {
			flags[len(flags)-1].values = parseValues(text.String())
		}
		text.Reset()
	}
	title := regexp.MustCompile(`^(\S.*):$`)
	head := regexp.MustCompile(`^ {2,6}(?:(-\w), )?(--[\w-]+)(?: (\w+)(\[=\w+\])?)?(?: {2,}|\t)(.*)$`)
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\r\n")
		if m := title.FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := head.FindStringSubmatch(line); m != nil {
			end()
			names := slices.DeleteFunc([]string{m[2], m[1]}, func(n string) bool { return n == "" })
			flags = append(flags, flag{section: section, names: names, takesWord: m[3] != "" && m[4] == ""})
			text.WriteString(m[5] + "\n")
		} else {
			text.WriteString(line + "\n")
		}
	}
	end()
	return flags
}

// parseValues returns the values that a flag's description lists, in any of the
// ways in which it does. Examples are none.
func parseValues(text string) []value {
	var values []value
	add := func(names []string) {
		for _, n := range names {
			values = append(values, value{name: n})
		}
	}
	if strings.Contains(text, "format is relative") {
		add([]string{relative})
	}
	text = regexp.MustCompile(`\((e\.g\.|default) [^)]*\)`).ReplaceAllString(text, "")
	// One a line, with what it means.
	for _, m := range regexp.MustCompile(`(?m)^ +(\w+): +(.+)$`).FindAllStringSubmatch(text, -1) {
		v := value{name: m[1]}
		if strings.Contains(m[2], "2006") || strings.Contains(m[2], "15:04") {
			v.layout = m[2]
		}
		values = append(values, v)
	}
	// In a table, with those below them.
	if _, table, ok := strings.Cut(text, "SUBTYPE\n"); ok {
		add(subtypes(table))
	}
	// In brackets; in quotes, after the words that begin a list; one of two.
	if m := regexp.MustCompile(`\[([A-Z]+(, [A-Z]+)+)\]`).FindStringSubmatch(text); m != nil {
		add(strings.Split(m[1], ", "))
	}
	if _, list, ok := strings.Cut(text, "value is one of "); ok {
		add(quoted(list))
	}
	if _, list, ok := strings.Cut(text, "(ie: "); ok {
		add(quoted(list))
	}
	if m := regexp.MustCompile(`\(either (\w+) or (\w+)\)`).FindStringSubmatch(text); m != nil {
		add(m[1:])
	}
	return values
}

// quoted are the quoted words.
func quoted(text string) []string {
	return regexp.MustCompile(`\b\w+\b`).FindAllString(
		strings.Join(regexp.MustCompile(`'\w+'|"\w+"`).FindAllString(text, -1), " "), -1)
}

// subtypes are the types of a table with two columns, and each type:subtype.
func subtypes(table string) []string {
	var all []string
	var kind string
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) == 2 {
			kind = words[0]
			all = append(all, kind)
		}
		if len(words) > 0 && words[len(words)-1] != "n/a" {
			all = append(all, kind+":"+words[len(words)-1])
		}
	}
	return all
}

func TestParseHelp(t *testing.T) {
	const help = `Watch the weather

Usage:
  weather watch [flags]

Which Flags:
      --all            All of it
  -f, --from time      When it begins. The format is relative (e.g. 3s, 4m, ...) or one of:
                         Day:   2006-01-02
                         Hour:  2006-01-02T15
                       
  -w, --windy filter[=v4]   Only if there is wind
  -k, --kind filter    Kinds KIND[:SUBTYPE]. There are:
                       KIND   SUBTYPE
                       sun    n/a
                       rain   warm
                              cold
      --sky filter     Its color [GREY, BLUE]

Other Flags:
      --shout string   When the output is 'loud'. The value is one of 'auto' (default) or 'never' (default "auto")
      --way filter     Up or down (ie: "up", "down")
      --turn filter    Its direction (either left or right) as seen from either end or both
      --name filter    A name (e.g. "bob") or not (e.g.'tom')

Get help:
  -h, --help	Help for any command
`
	want := map[string][]string{
		"--all": nil, "--from -f TIME": {relative, "Day", "Hour"}, "--windy -w": nil,
		"--kind -k TIME": {"sun", "rain", "rain:warm", "rain:cold"}, "--sky TIME": {"GREY", "BLUE"},
		"--shout TIME": {"auto", "never"}, "--way TIME": {"up", "down"}, "--turn TIME": {"left", "right"},
		"--name TIME": nil, "--help -h": nil,
	}
	got := map[string][]string{}
	for _, f := range parseHelp(help) {
		name := strings.Join(f.names, " ")
		if f.takesWord {
			name += " TIME"
		}
		got[name] = nil
		for _, v := range f.values {
			got[name] = append(got[name], v.name)
		}
	}
	for name, values := range want {
		if g, ok := got[name]; !ok || !slices.Equal(g, values) {
			t.Errorf("%s: values %q (listed: %t), want %q", name, g, ok, values)
		}
	}
	if len(got) != len(want) {
		t.Errorf("flags: %q", got)
	}
	day := value{"Day", "2006-01-02"}
	for word, is := range map[string]bool{"2020-05-01": true, "2020-05-01T10": false, "Day": true, "3s": false} {
		if day.is(word) != is {
			t.Errorf("%s is a Day: %t", word, !is)
		}
	}
}

package static

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fovea-obs/fovea/internal/yamldoc"
)

// decoder walks a YAML document and notes what is wrong in it. Fields have a
// path, as in endpoints[1].addresses[0], by which mistakes name them.
type decoder struct {
	name     string
	mistakes Mistakes
}

// wrong notes a mistake in the field at path, which is empty for the document.
func (d *decoder) wrong(n *yaml.Node, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.mistakes = append(d.mistakes, yamldoc.Mistake{File: d.name, Line: n.Line, Text: text})
}

// field is one that a mapping may have.
type field struct {
	name     string
	required bool
	read     func(n *yaml.Node, path string)
}

// mapping reads the fields of n, which must be a mapping that has no others.
func (d *decoder) mapping(n *yaml.Node, path string, fields ...field) {
	have := map[string]bool{}
	ok := d.pairs(n, path, func(key *yaml.Node, value *yaml.Node, path string) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			d.wrong(key, path, "unknown field, allowed are %s", names(fields))
			return
		}
		have[key.Value] = true
		fields[i].read(value, path)
	})
	if !ok {
		return
	}
	for _, f := range fields {
		if f.required && !have[f.name] {
			d.wrong(n, join(path, f.name), "missing, want a value")
		}
	}
}

// pairs calls read for each field of n and tells whether n is a mapping.
func (d *decoder) pairs(n *yaml.Node, path string, read func(key, value *yaml.Node, path string)) bool {
	n = yamldoc.Resolve(n)
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "%s, want fields with values", describe(n))
		return false
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := yamldoc.Resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			d.wrong(key, path, "%s as a field's name, want a word", describe(key))
			continue
		}
		p := join(path, key.Value)
		if line, twice := lines[key.Value]; twice {
			d.wrong(key, p, "given twice, first in line %d", line)
			continue
		}
		lines[key.Value] = key.Line
		read(key, n.Content[i+1], p)
	}
	return true
}

// list calls read for each element of n, which must be a list or null.
func (d *decoder) list(n *yaml.Node, path string, read func(n *yaml.Node, path string)) {
	n = yamldoc.Resolve(n)
	if yamldoc.Null(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "%s, want a list", describe(n))
		return
	}
	for i, element := range n.Content {
		read(element, fmt.Sprintf("%s[%d]", path, i))
	}
}

// text returns the scalar n as it is written, and whether it is one.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	n = yamldoc.Resolve(n)
	if n.Kind != yaml.ScalarNode || yamldoc.Null(n) {
		d.wrong(n, path, "%s, want a value", describe(n))
		return "", false
	}
	return n.Value, true
}

// word returns a text that satisfies ok, which the words want describe.
func (d *decoder) word(n *yaml.Node, path, want string, ok func(string) bool) string {
	s, isText := d.text(n, path)
	if isText && !ok(s) {
		d.wrong(n, path, "%q, want %s", s, want)
	}
	return s
}

// address returns a unicast address. IPv4 in IPv6 is the same as IPv4.
func (d *decoder) address(n *yaml.Node, path string) (netip.Addr, bool) {
	s, ok := d.text(n, path)
	if !ok {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	a = a.Unmap()
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		d.wrong(n, path, "%q, want the IP address of one host, such as 10.1.0.2 or fd00::2", s)
		return netip.Addr{}, false
	}
	return a, true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func names(fields []field) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return strings.Join(list, ", ")
}

func describe(n *yaml.Node) string {
	switch {
	case yamldoc.Null(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "fields"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

package glob

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fovea-obs/fovea/internal/nodename"
)

const (
	// star is what a * in a pattern stands for.
	star = `[-.0-9a-z]*`
	// anyName is what an empty part of a node pattern stands for.
	anyName = `[-0-9_a-z]+(\.[-0-9_a-z]+)*`
)

// Name returns the regular expression, not anchored, of a pattern for a domain name:
// lower case, one dot at the end dropped, a * for any part of it.
func Name(pattern string) (string, error) {
	pattern = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(pattern), "."))
	if pattern == "" || strings.HasSuffix(pattern, ".") {
		return "", fmt.Errorf("no name in %q", pattern)
	}
	var out strings.Builder
	var last rune
	for _, r := range pattern {
		before := last
		last = r
		switch {
		case r == '*' && before == '*':
			// The same as one.
		case r == '*':
			out.WriteString(star)
		case r == '.':
			out.WriteString(`\.`)
		case r == '-', r == '_', '0' <= r && r <= '9', 'a' <= r && r <= 'z':
			out.WriteRune(r)
		default:
			return "", fmt.Errorf("%q in a name", r)
		}
	}
	return out.String(), nil
}

// Node is a pattern for nodes, as Hubble's filters have it: cluster/node or node, in
// which * stands for anything, as does a part that is empty or missing.
type Node struct{ anchored *regexp.Regexp }

// ParseNode reads a pattern. It fails if that is not of this form.
func ParseNode(pattern string) (Node, error) {
	cluster, node, qualified := strings.Cut(pattern, "/")
	if !qualified {
		cluster, node = "", pattern
	}
	if pattern == "" || strings.Contains(node, "/") {
		return Node{}, fmt.Errorf("%q is not of the form cluster/node", pattern)
	}
	parts := [2]string{cluster, node}
	for i, p := range parts {
		if p == "" {
			parts[i] = anyName
			continue
		}
		var err error
		if parts[i], err = Name(p); err != nil {
			return Node{}, err
		}
	}
	anchored, err := regexp.Compile(`\A` + parts[0] + `/` + parts[1] + `\z`)
	return Node{anchored}, err
}

// Match tells whether the pattern is for the node of a name, as Hubble writes it:
// cluster/node, or node in the cluster default.
func (n Node) Match(name string) bool {
	if !strings.Contains(name, "/") {
		name = nodename.DefaultCluster + "/" + name
	}
	return n.anchored.MatchString(name)
}

package filter

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	// globStar is what a * in a pattern stands for.
	globStar = `[-.0-9a-z]*`
	// anyName is what an empty part of a node pattern stands for.
	anyName = `[-0-9_a-z]+(\.[-0-9_a-z]+)*`
)

// glob returns the regular expression of a pattern for a domain name.
func glob(pattern string) (string, error) {
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
			out.WriteString(globStar)
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

// nodeGlob returns the anchored regular expression of a pattern for
// cluster/node. An empty part means any, and so does a missing cluster.
func nodeGlob(pattern string) (*regexp.Regexp, error) {
	cluster, node, qualified := strings.Cut(pattern, "/")
	if !qualified {
		cluster, node = "", pattern
	}
	if pattern == "" || strings.Contains(node, "/") {
		return nil, fmt.Errorf("%q is not of the form cluster/node", pattern)
	}
	parts := [2]string{cluster, node}
	for i, p := range parts {
		if p == "" {
			parts[i] = anyName
			continue
		}
		var err error
		if parts[i], err = glob(p); err != nil {
			return nil, err
		}
	}
	return regexp.Compile(`\A` + parts[0] + `/` + parts[1] + `\z`)
}

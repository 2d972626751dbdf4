package filter

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

const (
	// anySource stands for all sources of a label in a selector.
	anySource = "any"
	// noSource is Cilium's word for a source that was not said.
	noSource = "unspec"
)

type labelSelectors []labels.Selector

// selectors compiles label selectors. Their syntax is that of Kubernetes,
// except that a key may begin with the source of the label, as in
// k8s:app=web; it stands for any source if it does not.
func (c *builder) selectors(values []string) (labelSelectors, error) {
	var out labelSelectors
	for _, v := range values {
		s, err := labels.Parse(withSources(v))
		if err != nil {
			return nil, c.invalid(v, "a label selector, as k8s:app in (a, b), !b")
		}
		out = append(out, s)
	}
	return out, nil
}

// match tells whether any selector selects these labels of an endpoint.
func (s labelSelectors) match(list []string) bool {
	return slices.ContainsFunc(s, func(s labels.Selector) bool { return s.Matches(sourcedLabels(list)) })
}

// withSources writes the sources of a selector's keys in a form that Kubernetes
// takes for a part of the key, with a dot in place of the colon, and anySource
// where a key has none.
func withSources(selector string) string {
	var out strings.Builder
	for rest := selector; rest != ""; {
		start := len(rest) - len(strings.TrimLeft(rest, "! \t\r\n"))
		out.WriteString(rest[:start])
		rest = rest[start:]
		end := strings.IndexAny(rest, "=!,<> \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		out.WriteString(withSource(rest[:end]))
		rest = rest[end:]
		next := requirementEnd(rest)
		out.WriteString(rest[:next])
		rest = rest[next:]
	}
	return out.String()
}

func withSource(key string) string {
	source, name, ok := strings.Cut(key, ":")
	switch {
	case !ok:
		return anySource + "." + key
	case source == noSource:
		return anySource + "." + name
	}
	return source + "." + name
}

// requirementEnd finds the end of a selector's first requirement, which is
// after the first comma that is not in parentheses.
func requirementEnd(s string) int {
	depth := 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			return i + 1
		}
	}
	return len(s)
}

// sourcedLabels are labels in Cilium's form, source:key=value, to be asked for
// keys as withSources writes them.
type sourcedLabels []string

var _ labels.Labels = sourcedLabels(nil)

// Lookup implements labels.Labels.
func (l sourcedLabels) Lookup(key string) (value string, exists bool) {
	source, name, _ := strings.Cut(key, ".")
	for _, label := range l {
		labelSource, rest, _ := strings.Cut(label, ":")
		if source != anySource && source != labelSource {
			continue
		}
		if labelName, value, _ := strings.Cut(rest, "="); labelName == name {
			return value, true
		}
	}
	return "", false
}

// Has implements labels.Labels.
func (l sourcedLabels) Has(key string) bool {
	_, ok := l.Lookup(key)
	return ok
}

// Get implements labels.Labels.
func (l sourcedLabels) Get(key string) string {
	v, _ := l.Lookup(key)
	return v
}

package filter

import (
	"slices"
	"strings"
)

// defaultNamespace is that of a name without one.
const defaultNamespace = "default"

// namePattern is a namespace and a name's prefix; empty means any.
type namePattern struct{ namespace, prefix string }

type namePatterns []namePattern

// names compiles patterns for names of pods and services: ns/ for all of a
// namespace, ns/prefix, /prefix for any namespace, prefix for the default one.
func (c *builder) names(values []string) (namePatterns, error) {
	var out namePatterns
	for _, v := range values {
		namespace, prefix, qualified := strings.Cut(v, "/")
		if v == "" || strings.Contains(prefix, "/") {
			return nil, c.invalid(v, "namespace/, namespace/prefix, /prefix or prefix")
		}
		if !qualified {
			namespace, prefix = defaultNamespace, v
		}
		out = append(out, namePattern{namespace, prefix})
	}
	return out, nil
}

// match tells whether any of the patterns does. What has no name at all never
// matches.
func (p namePatterns) match(namespace, name string) bool {
	if namespace == "" && name == "" {
		return false
	}
	return slices.ContainsFunc(p, func(p namePattern) bool {
		return (p.namespace == "" || p.namespace == namespace) && strings.HasPrefix(name, p.prefix)
	})
}

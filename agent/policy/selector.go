package policy

import (
	"slices"
	"strings"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// Operator is how a requirement is meant.
type Operator uint8

// Operators, as of metav1.LabelSelectorOperator.
const (
	// In is for a label that is there and has one of the values.
	In Operator = iota
	// NotIn is for a label that has none of the values, or is not there.
	NotIn
	Exists
	DoesNotExist
)

// Requirement is what a selector asks of one label. Values are for In and NotIn.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string
}

// Selector matches labels that meet all its requirements: without any, all.
type Selector []Requirement

// What the labels of endpoints begin with, and those that are not the pod's own.
const (
	podPart        = "k8s:"
	namespacePart  = "k8s:io.cilium.k8s.namespace.labels."
	ciliumPart     = "io.cilium.k8s."
	namespaceLabel = "io.kubernetes.pod.namespace"
	// nameLabel is of each namespace, and its value is the namespace's name.
	nameLabel = "kubernetes.io/metadata.name"
)

// answer is whether something matches, as far as it is known. The least of
// several is whether all do, the greatest whether one does.
type answer uint8

const (
	no answer = iota + 1 // 0 is what was not asked
	maybe
	yes
)

func answerOf(is bool) answer {
	if is {
		return yes
	}
	return no
}

// requirement is a Requirement of the labels of endpoints.
type requirement struct {
	Requirement
	// prefix is what its label begins with; empty if no pod can have it.
	prefix string
}

// podRequirements are those of a selector of pods. Labels that the agent adds to
// a pod's are none of its own.
func podRequirements(s Selector) []requirement {
	return requirements(s, func(key string) string {
		if key == namespaceLabel || strings.HasPrefix(key, ciliumPart) {
			return ""
		}
		return podPart + key + "="
	})
}

func namespaceRequirements(s Selector) []requirement {
	return requirements(s, func(key string) string { return namespacePart + key + "=" })
}

func requirements(s Selector, prefix func(key string) string) []requirement {
	list := make([]requirement, 0, len(s))
	for _, r := range s {
		list = append(list, requirement{r, prefix(r.Key)})
	}
	return list
}

// holds tells whether sorted labels meet the requirement.
func (r *requirement) holds(labels []string) bool {
	if r.prefix == "" {
		return r.meets("", false)
	}
	i, _ := slices.BinarySearch(labels, r.prefix)
	if i == len(labels) {
		return r.meets("", false)
	}
	value, has := strings.CutPrefix(labels[i], r.prefix)
	return r.meets(value, has)
}

func (r *requirement) meets(value string, has bool) bool {
	switch r.Operator {
	case In:
		return has && slices.Contains(r.Values, value)
	case NotIn:
		return !has || !slices.Contains(r.Values, value)
	case Exists:
		return has
	case DoesNotExist:
		return !has
	}
	return false
}

// podMatches tells whether a pod's labels meet all requirements.
func podMatches(all []requirement, e *endpoint.Endpoint) bool {
	for i := range all {
		if !all[i].holds(e.Labels) {
			return false
		}
	}
	return true
}

// namespaceMatches tells whether the labels of a pod's namespace do. Whole says
// that they are known: its name always is.
func namespaceMatches(all []requirement, e *endpoint.Endpoint, whole bool) answer {
	least := yes
	for i := range all {
		r := &all[i]
		switch {
		case r.Key == nameLabel:
			least = min(least, answerOf(r.meets(e.Namespace, true)))
		case whole:
			least = min(least, answerOf(r.holds(e.Labels)))
		default:
			least = min(least, maybe)
		}
	}
	return least
}

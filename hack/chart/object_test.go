package chart

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is one of those that the chart makes.
type object struct {
	// text is it as rendered, without certificates, which differ each time.
	text string
	// id is its kind and its name.
	id     string
	fields map[string]any
}

// objects reads what was rendered, and checks the certificates in it.
func objects(t *testing.T, rendered string) (all []object) {
	t.Helper()
	for text := range strings.SplitSeq(rendered, "---\n") {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "# Source: ") {
				kept = append(kept, line)
			}
		}
		o := object{text: strings.TrimSpace(strings.Join(kept, ""))}
		check(t, yaml.Unmarshal([]byte(o.text), &o.fields))
		if o.fields == nil {
			continue
		}
		o.id = o.field("kind") + " " + o.field("metadata", "name")
		if o.field("kind") == "Secret" {
			o.text = withoutCertificate(t, o)
		}
		all = append(all, o)
	}
	return all
}

// field is a text in it, or empty.
func (o object) field(path ...string) string {
	s, _ := o.at(path...).(string)
	return s
}

// at is what is in it at a path of names, or nil.
func (o object) at(path ...string) any {
	var at any = o.fields
	for _, name := range path {
		fields, _ := at.(map[string]any)
		at = fields[name]
	}
	return at
}

// containers are those of an object that has pods, and the pods' own fields.
func (o object) containers() (pod map[string]any, all []map[string]any) {
	pod, _ = o.at("spec", "template", "spec").(map[string]any)
	list, _ := pod["containers"].([]any)
	for _, c := range list {
		all = append(all, c.(map[string]any))
	}
	return pod, all
}

package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// schema is what values.schema.json says of one value.
type schema struct {
	Ref        string            `json:"$ref"`
	Properties map[string]schema `json:"properties"`
	Additional any               `json:"additionalProperties"`
	Defs       map[string]schema `json:"$defs"`
}

// TestValues holds values.yaml and values.schema.json against each other. Each value has a
// comment and is in the schema, and what the schema has is in the values.
func TestValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(dir, "values.schema.json"))
	check(t, err)
	var s schema
	check(t, json.Unmarshal(text, &s))
	if text, err = os.ReadFile(filepath.Join(dir, "values.yaml")); err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	check(t, yaml.Unmarshal(text, &document))
	// What a chart above this one gives to all is no value of this one.
	delete(s.Properties, "global")
	compare(t, nil, document.Content[0], s, s.Defs)
}

// compare looks at a mapping of values.
func compare(t *testing.T, path []string, values *yaml.Node, s schema, defs map[string]schema) {
	t.Helper()
	missing := maps.Clone(s.Properties)
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		path := append(slices.Clone(path), key.Value)
		name := strings.Join(path, ".")
		if !strings.HasSuffix(key.HeadComment, ".") {
			t.Errorf("%s has the comment %q, want sentences", name, key.HeadComment)
		}
		said, ok := s.Properties[key.Value]
		if !ok {
			t.Errorf("%s is not in the schema", name)
		}
		delete(missing, key.Value)
		if said.Ref != "" {
			if said, ok = defs[strings.TrimPrefix(said.Ref, "#/$defs/")]; !ok {
				t.Errorf("%s: the schema has nothing at %s", name, said.Ref)
			}
		}
		// A mapping whose names the chart does not know, or in which Kubernetes has
		// what it has, is one value.
		if value.Kind == yaml.MappingNode && value.Style != yaml.FlowStyle {
			if said.Additional != false {
				t.Errorf("%s: the schema lets any value in", name)
			}
			compare(t, path, value, said, defs)
		}
	}
	for name := range missing {
		t.Errorf("%s is in the schema and not in the values", strings.Join(append(path, name), "."))
	}
}

// TestSetsHaveAllValues fails for a value that is in no set another than by default: nobody
// would see what it does.
func TestSetsHaveAllValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	check(t, err)
	var document yaml.Node
	check(t, yaml.Unmarshal(text, &document))
	var all []map[string]any
	for _, s := range sets(t) {
		var values map[string]any
		check(t, yaml.Unmarshal([]byte(s.values), &values))
		all = append(all, values)
	}
	inSets(t, nil, document.Content[0], all)
}

// inSets looks for each value of a mapping in what sets have in its place.
func inSets(t *testing.T, path []string, values *yaml.Node, sets []map[string]any) {
	t.Helper()
	for i := 0; i < len(values.Content); i += 2 {
		name, value := values.Content[i].Value, values.Content[i+1]
		path := append(slices.Clone(path), name)
		if value.Kind == yaml.MappingNode && value.Style != yaml.FlowStyle {
			var below []map[string]any
			for _, s := range sets {
				if v, ok := s[name].(map[string]any); ok {
					below = append(below, v)
				}
			}
			inSets(t, path, value, below)
			continue
		}
		var usual any
		check(t, value.Decode(&usual))
		if !slices.ContainsFunc(sets, func(s map[string]any) bool { v, ok := s[name]; return ok && !reflect.DeepEqual(v, usual) }) {
			t.Errorf("no set has another %s than by default", strings.Join(path, "."))
		}
	}
}

package yamldoc

import (
	"bytes"
	"errors"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) {
	for name, tt := range map[string]struct {
		data, root, err string
	}{
		"empty":            {"", "", ""},
		"comment":          {"# nothing\n", "", ""},
		"null":             {"~\n", "", ""},
		"scalar":           {"a", "a", ""},
		"line":             {"a: 1\n\tb: 2\n", "", "f.yaml:2: not YAML: found a tab character that violates indentation"},
		"no line":          {"a: \xff", "", "f.yaml: not YAML: invalid leading UTF-8 octet"},
		"second document":  {"a: 1\n---\nb: 2\n", "", "f.yaml:2: a second document starts here, want only one in a file"},
		"second is broken": {"a: 1\n---\n[\n", "", "f.yaml:3: not YAML: did not find expected node content"},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := Root("f.yaml", []byte(tt.data))
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if (n == nil) != (tt.root == "") || n != nil && n.Value != tt.root {
				t.Errorf("got %+v, want %q", n, tt.root)
			}
		})
	}
}

func TestNodes(t *testing.T) {
	for text, want := range map[string]struct {
		value string
		null  bool
	}{
		"a: b":                      {"b", false},
		"a: ":                       {"", true},
		"a: ~":                      {"~", true},
		"a: null":                   {"null", true},
		`a: ""`:                     {"", false},
		`a: "null"`:                 {"null", false},
		"x: &x 1\na: *x":            {"1", false},
		"x: &x ~\na: *x":            {"~", true},
		"x: {y: &y 7}\na: *y":       {"7", false},
		"a: []":                     {"", false},
		"a: !!str ~":                {"~", false},
		"x: &x 1\nz: &x 2\na: *x\n": {"2", false},
	} {
		root, err := Root("f.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		n := Resolve(root.Content[len(root.Content)-1])
		if n.Kind == yaml.AliasNode || n.Value != want.value || Null(n) != want.null {
			t.Errorf("%q: got %q, null %v, want %q, %v", text, n.Value, Null(n), want.value, want.null)
		}
	}
}

// FuzzRoot holds that any bytes have a root, nothing, or a mistake in one of
// their lines.
func FuzzRoot(f *testing.F) {
	for _, s := range []string{"", "~", "a: 1\n\tb: 2\n", "a: \xff", "a: 1\n---\n[\n", "a: &a [*a]", "%YAML 1.2\n---\na\n..."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Root("f.yaml", data)
		if err == nil {
			if n != nil && Null(n) {
				t.Error("the root is null")
			}
			return
		}
		var m Mistake
		if !errors.As(err, &m) || n != nil || m.File != "f.yaml" || m.Text == "" {
			t.Fatalf("got %v with %#v", n, err)
		}
		if lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 2; m.Line < 0 || m.Line > lines {
			t.Errorf("line %d of %d: %v", m.Line, lines, err)
		}
	})
}

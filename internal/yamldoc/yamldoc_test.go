package yamldoc

import "testing"

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

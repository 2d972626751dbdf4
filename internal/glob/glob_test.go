package glob

import "testing"

func TestNode(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"node1", "node1", true},
		{"node1", "node10", false},
		{"node*", "node10", true},
		{"default/node1", "node1", true},
		{"prod/node1", "node1", false},
		{"prod/", "prod/node1.example.com", true},
		{"/node1", "prod/node1", true},
		{"node1", "prod/node1", true},
		{"pr*d/*1", "prod/node1", true},
		{"n.de1", "node1", false},
	} {
		p, err := ParseNode(tt.pattern)
		if err != nil || p.Match(tt.name) != tt.want {
			t.Errorf("%q is for %q: %v, %v; want %v", tt.pattern, tt.name, !tt.want, err, tt.want)
		}
	}
	for _, bad := range []string{"", "a/b/c", "node 1", ".", "a/$"} {
		if _, err := ParseNode(bad); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}

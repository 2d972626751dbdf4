package image

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // nothing if it is allowed
	}{
		"a release":         {func(c *Config) { c.Version = "v0.1.0-rc.1" }, ""},
		"no release":        {func(*Config) {}, ""},
		"a registry's port": {func(c *Config) { c.Name = "localhost:5000/fovea" }, ""},
		"no name":           {func(c *Config) { c.Name = "" }, `name: "", want one such as`},
		"a digest":          {func(c *Config) { c.Name = "fovea@sha256" }, `name: "fovea@sha256", want one such as`},
		"no tag":            {func(c *Config) { c.Version = "v0.1.0+dirty" }, `version: "v0.1.0+dirty", want one that can be a tag`},
		"no architecture":   {func(c *Config) { c.Architectures = nil }, "architecture: none, want amd64 or arm64"},
		"another":           {func(c *Config) { c.Architectures[1] = "s390x" }, `architecture: "s390x", want amd64 or arm64`},
		"one twice":         {func(c *Config) { c.Architectures[1] = "amd64" }, `architecture: "amd64", want amd64 or arm64, each once`},
		"no archive":        {func(c *Config) { c.Archive = "" }, `archive: "", want a path`},
		"an archive's path": {func(c *Config) { c.Archive = "a:b" }, `archive: "a:b", want a path with no colon`},
		"two at once":       {func(c *Config) { c.Name, c.Archive = "", "" }, "name: \"\", want one such as ghcr.io/fovea-obs/fovea\narchive: "},
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Name: "ghcr.io/fovea-obs/fovea", Architectures: []string{"amd64", "arm64"}, Archive: "a.tar"}
			tt.change(&c)
			err := c.validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReference(t *testing.T) {
	for version, want := range map[string]string{"": "a/b:devel", "v0.1.0": "a/b:v0.1.0"} {
		if got := (Config{Name: "a/b", Version: version}).Reference(); got != want {
			t.Errorf("version %q: got %s, want %s", version, got, want)
		}
	}
}

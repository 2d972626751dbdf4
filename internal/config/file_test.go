package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFile holds that any bytes are settings or mistakes that name the file.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"", "size: 1KiB\n", "names: [a, b]\nmode: a\n", "size: 1\nsize: 2\n", "- size\n", "size:\n\tx\n",
		"size: &s 1KiB\nnode-name: *s\n", "a: 1\n---\nb: 2\n", "? [a]\n: b\n", "<<: {size: 1}\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s testSettings
		flags := s.flags()
		path := filepath.Join(t.TempDir(), "fovea.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := flags.Set(fileFlag, path); err != nil {
			t.Fatal(err)
		}
		sources, err := Resolve(flags, nil)
		if err != nil && !strings.HasPrefix(err.Error(), path) {
			t.Errorf("mistake with no place: %v", err)
		}
		delete(sources, fileFlag)
		for name, source := range sources {
			if flags.Lookup(name) == nil || !strings.HasPrefix(source, path+":") {
				t.Errorf("setting %q from %q", name, source)
			}
		}
	})
}

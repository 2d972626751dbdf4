//go:build e2e

package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	// What is in the image: a change of it makes cached results void.
	_ "github.com/fovea-obs/fovea/agent"
	_ "github.com/fovea-obs/fovea/relay"
)

const (
	name, release = "fovea.test/fovea", "v0.0.1-test"
	// maxSize bounds an image as it lies on a node, in bytes.
	maxSize = 60 << 20
)

// TestImage makes the image for all architectures, and again for that of this machine alone,
// and looks at all that is in them.
func TestImage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, with which buildah needs no namespaces")
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("needs buildah: on Debian 12, apt-get install buildah")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before := left(t)
	all := build(t, "amd64", "arm64")
	index := read[manifest](t, all, "index.json")
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != name+":"+release {
		t.Fatalf("the archive has %+v, want a list called %s:%s", index.Manifests, name, release)
	}
	list := read[manifest](t, all, blob(index.Manifests[0].Digest))
	var platforms []string
	var here settings
	for _, d := range list.Manifests {
		platforms = append(platforms, d.Platform.OS+"/"+d.Platform.Architecture)
		m := read[manifest](t, all, blob(d.Digest))
		s := read[settings](t, all, blob(m.Config.Digest))
		if s.OS != d.Platform.OS || s.Architecture != d.Platform.Architecture {
			t.Errorf("an image for %s/%s in the place of one for %+v", s.OS, s.Architecture, d.Platform)
		}
		if len(m.Layers) != 1 {
			t.Fatalf("%s: %d layers", s.Architecture, len(m.Layers))
		}
		compressed := blob(m.Layers[0].Digest)
		s.verify(t, all.layer(t, compressed), len(all[compressed].data))
		if s.Architecture == runtime.GOARCH {
			here = s
		}
	}
	if slices.Sort(platforms); !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("images for %q", platforms)
	}

	one := build(t, runtime.GOARCH)
	m := read[oneImage](t, one, "manifest.json")
	if len(m) != 1 || len(m[0].Layers) != 1 || !slices.Equal(m[0].RepoTags, []string{name + ":" + release}) {
		t.Fatalf("the archive of one image has %+v", m)
	}
	// Made twice, it is the same.
	again := read[settings](t, one, m[0].Config)
	if !slices.Equal(again.RootFS.DiffIDs, here.RootFS.DiffIDs) || again.Created != here.Created {
		t.Errorf("made twice: %+v and %+v", here, again)
	}
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if after := left(t); !slices.Equal(after, before) {
		t.Errorf("left behind: %q, before there were %q", after, before)
	}
}

// build makes the image for these architectures, and returns what is in its archive.
func build(t *testing.T, architectures ...string) files {
	t.Helper()
	began := time.Now()
	var log bytes.Buffer
	c := Config{
		Name: name, Version: release, Architectures: architectures,
		Archive: filepath.Join(t.TempDir(), "sub", "image.tar"), Log: &log,
	}
	if err := Build(t.Context(), c); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	entries, err := os.ReadDir(filepath.Dir(c.Archive))
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("%d files beside the archive", len(entries)-1)
	}
	t.Logf("made for %s in %v", strings.Join(architectures, " and "), time.Since(began).Round(time.Second))
	return open(t, c.Archive)
}

// left are the places in which tools leave things.
func left(t *testing.T) (found []string) {
	t.Helper()
	for _, pattern := range []string{
		"/var/tmp/*buildah*", "/var/tmp/*container*", "/var/tmp/storage*",
		"/var/lib/containers", "/var/lib/containers/*/*", "/run/containers", "/run/containers/*/*",
	} {
		match, err := filepath.Glob(pattern)
		check(t, err)
		found = append(found, match...)
	}
	return found
}

// verify checks what an image says of itself, and that it holds one program and nothing else.
func (s settings) verify(t *testing.T, layer files, compressed int) {
	t.Helper()
	if s.Config.User != "65532:65532" || !slices.Equal(s.Config.Entrypoint, []string{"/fovea"}) || len(s.Config.Cmd) > 0 {
		t.Errorf("%s: runs %q %q as %q", s.Architecture, s.Config.Entrypoint, s.Config.Cmd, s.Config.User)
	}
	program, ok := layer["fovea"]
	if !ok || len(layer) != 1 {
		t.Fatalf("%s: has %d files", s.Architecture, len(layer))
	}
	if h := program.header; h.FileInfo().Mode().Perm() != 0o755 || h.Uid != 0 || h.Gid != 0 {
		t.Errorf("%s: /fovea has mode %o and is owned by %d:%d", s.Architecture, h.Mode, h.Uid, h.Gid)
	}
	if len(program.data) > maxSize {
		t.Errorf("%s: %d bytes, want at most %d", s.Architecture, len(program.data), maxSize)
	}
	t.Logf("%s: %.1f MiB, %.1f MiB compressed", s.Architecture, float64(len(program.data))/(1<<20), float64(compressed)/(1<<20))
	s.verifyProgram(t, program)
	if s.Architecture == runtime.GOARCH {
		s.verifyVersion(t, program)
	}
}

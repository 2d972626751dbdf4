// Package stock gives tests, benchmarks and the demo the stock programs of
// Hubble, built from the nested module hack/hubble and cached outside the tree.
package stock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
)

// Hubble returns the path of the stock hubble command line. The first call for
// a version builds it, which takes some minutes and the Go module proxy.
func Hubble(ctx context.Context) (string, error) {
	dir, version, err := module()
	if err != nil {
		return "", err
	}
	return build(ctx, dir, program{
		what: "the stock hubble " + version, name: "hubble-" + version,
		path:  "github.com/cilium/cilium/hubble",
		flags: "-X github.com/cilium/cilium/hubble/pkg.Version=" + version,
	})
}

// Upstream returns the path of hack/hubble/upstream, which has Hubble's server
// in it. It is built when its source or what it needs has changed, as Hubble is.
func Upstream(ctx context.Context) (string, error) {
	dir, version, err := module()
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(dir, "upstream", "*.go"))
	if err != nil {
		return "", err
	}
	sum, err := sumOf(append(sources, filepath.Join(dir, "go.mod")))
	if err != nil {
		return "", fmt.Errorf("read the source of upstream: %w", err)
	}
	return build(ctx, dir, program{
		what: "Hubble's server " + version, name: "upstream-" + version + "-" + sum, path: "./upstream",
	})
}

// program is what to build.
type program struct {
	// what it is, for people.
	what string
	// name is its file's, without the version of Go. It says all that the
	// program depends on.
	name string
	// path is its package, flags are more ones for the linker.
	path, flags string
}

// build returns the path of a program in the cache, where it builds it first if
// it is not there.
func build(ctx context.Context, dir string, p program) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	bin := filepath.Join(cache, "fovea", p.name+"-"+runtime.Version())
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for %s: %w", p.what, err)
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	// Several tests may build at once: each moves its own into place.
	tmp, err := os.MkdirTemp(filepath.Dir(bin), "build-")
	if err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(os.Stderr, "Building %s; this takes some minutes, once\n", p.what)
	out := filepath.Join(tmp, "program")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out, "-ldflags", "-s -w "+p.flags, p.path)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", p.what, err, text)
	}
	if err := os.Rename(out, bin); err != nil {
		return "", fmt.Errorf("keep %s: %w", p.what, err)
	}
	return bin, nil
}

// module is where hack/hubble lies, next to this file, and the version of
// Hubble that it pins.
func module() (dir, version string, err error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", "", errors.New("find hack/hubble: built without paths")
	}
	dir = filepath.Join(filepath.Dir(filepath.Dir(file)), "hubble")
	version, err = pinned(filepath.Join(dir, "go.mod"))
	return dir, version, err
}

var ciliumVersion = regexp.MustCompile(`github\.com/cilium/cilium (v\S+)`)

func pinned(mod string) (string, error) {
	text, err := os.ReadFile(mod)
	if err != nil {
		return "", fmt.Errorf("read the pinned version: %w", err)
	}
	m := ciliumVersion.FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s pins no version of cilium", mod)
	}
	return string(m[1]), nil
}

// sumOf tells the contents of files apart from others, in a few digits.
func sumOf(files []string) (string, error) {
	h := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

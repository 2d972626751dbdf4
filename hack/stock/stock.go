// Package stock gives tests, benchmarks and the demo the stock programs of
// Hubble, Kubernetes and Helm, built from the nested modules hack/hubble,
// hack/kubernetes and hack/helm and cached outside the tree, and definitions of
// kinds that Kubernetes itself has not.
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
	dir, version, err := module("hubble", cilium)
	if err != nil {
		return "", err
	}
	return build(ctx, dir, program{
		what: "the stock hubble " + version, name: "hubble-" + version,
		path:  "github.com/cilium/cilium/hubble",
		flags: "-X github.com/cilium/cilium/hubble/pkg.Version=" + version,
	})
}

// HubbleRelay returns the path of Hubble's relay, which is built as Hubble is.
func HubbleRelay(ctx context.Context) (string, error) {
	dir, version, err := module("hubble", cilium)
	if err != nil {
		return "", err
	}
	return build(ctx, dir, program{
		what: "Hubble's relay " + version, name: "hubble-relay-" + version,
		path: "github.com/cilium/cilium/hubble-relay",
	})
}

// Upstream returns the path of hack/hubble/upstream, which has Hubble's server
// in it. It is built when its source or what it needs has changed, as Hubble is.
func Upstream(ctx context.Context) (string, error) {
	dir, version, err := module("hubble", cilium)
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
	return cached(p.what, p.name, func(out string) error {
		return goBuild(ctx, dir, p.what, "-trimpath", "-o", out, "-ldflags", "-s -w "+p.flags, p.path)
	})
}

// cached returns the path of a file or directory in the cache, which build
// makes first if it is not there. The name says all that it depends on but the
// version of Go.
func cached(what, name string, build func(out string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	kept := filepath.Join(cache, "fovea", name+"-"+runtime.Version())
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for %s: %w", what, err)
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	// Several tests may build at once: each moves its own into place, and of
	// directories the first stays.
	tmp, err := os.MkdirTemp(filepath.Dir(kept), "build-")
	if err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(os.Stderr, "Building %s; this takes some minutes, once\n", what)
	out := filepath.Join(tmp, "built")
	if err := build(out); err != nil {
		return "", err
	}
	if err := os.Rename(out, kept); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep %s: %w", what, err)
	}
	return kept, nil
}

// goBuild runs go build, for static programs, in a module's directory.
func goBuild(ctx context.Context, dir, what string, args ...string) error {
	build := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, text)
	}
	return nil
}

// cilium is the path of the module that Hubble is part of.
const cilium = "github.com/cilium/cilium"

// module is where a nested module lies, by its path below hack, and the version
// that it pins of another module.
func module(name, pins string) (dir, version string, err error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", "", fmt.Errorf("find hack/%s: built without paths", name)
	}
	dir = filepath.Join(filepath.Dir(filepath.Dir(file)), name)
	version, err = pinned(filepath.Join(dir, "go.mod"), pins)
	return dir, version, err
}

// pinned is the version of another module that a go.mod requires.
func pinned(mod, path string) (string, error) {
	text, err := os.ReadFile(mod)
	if err != nil {
		return "", fmt.Errorf("read the pinned version: %w", err)
	}
	required := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(path) + ` (v\S+)`)
	m := required.FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s pins no version of %s", mod, path)
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

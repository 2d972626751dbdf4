// Package stock gives tests and the demo the stock programs of Hubble, built
// from the nested module hack/hubble and cached outside the tree by version.
package stock

import (
	"context"
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
	dir, err := moduleDir()
	if err != nil {
		return "", err
	}
	version, err := pinned(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	bin := filepath.Join(cache, "fovea", "hubble-"+version+"-"+runtime.Version())
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for hubble: %w", err)
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
	fmt.Fprintf(os.Stderr, "Building the stock hubble %s; this takes some minutes, once\n", version)
	out := filepath.Join(tmp, "hubble")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", out,
		"-ldflags", "-s -w -X github.com/cilium/cilium/hubble/pkg.Version="+version, "github.com/cilium/cilium/hubble")
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hubble: %w\n%s", err, text)
	}
	if err := os.Rename(out, bin); err != nil {
		return "", fmt.Errorf("keep hubble: %w", err)
	}
	return bin, nil
}

// moduleDir is where hack/hubble lies, next to this file.
func moduleDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("find hack/hubble: built without paths")
	}
	return filepath.Join(filepath.Dir(filepath.Dir(file)), "hubble"), nil
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

package image

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/fovea-obs/fovea/internal/version"
)

// job is an image that is made.
type job struct {
	Config
	// dir is a directory of its own, out the file to write.
	dir, out string
	// version and commit are what the binaries say of themselves, created is the commit's time.
	version, commit string
	created         time.Time
}

// context is the directory of what goes into the image.
func (j *job) context() string { return filepath.Join(j.dir, "context") }

// binary is the path of an architecture's binary, where the Containerfile looks for it.
func (j *job) binary(arch string) string {
	return filepath.Join(j.context(), "bin", "fovea-linux-"+arch)
}

// compile builds the binary of one architecture, without what only debuggers need.
func (j *job) compile(ctx context.Context, arch string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true",
		"-ldflags", "-s -w -X main.release="+j.Version, "-o", j.binary(arch), ".")
	cmd.Dir = j.source()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = j.Log, j.Log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build for %s: %w", arch, err)
	}
	// Whoever builds it may keep files from others.
	if err := os.Chmod(j.binary(arch), 0o755); err != nil {
		return fmt.Errorf("build for %s: %w", arch, err)
	}
	return nil
}

// describe reads from the binaries what the labels say.
func (j *job) describe() error {
	info, err := buildinfo.ReadFile(j.binary(j.Architectures[0]))
	if err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	v := version.Describe(j.Version, info)
	j.version, j.commit = v.Version, v.Commit
	for _, s := range info.Settings {
		if s.Key != "vcs.time" {
			continue
		}
		if j.created, err = time.Parse(time.RFC3339, s.Value); err != nil {
			return fmt.Errorf("read the commit's time: %w", err)
		}
		return nil
	}
	return fmt.Errorf("read the commit's time: the binary does not tell it, want one that is built in a clone")
}

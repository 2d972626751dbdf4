package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DefaultTag is the tag of an image that is no release.
const DefaultTag = "devel"

// Config says which image to make. All but Version is required.
type Config struct {
	// Name is the image's, without a tag: ghcr.io/fovea-obs/fovea.
	Name string
	// Version is that of the release, and the tag. Without one the tag is [DefaultTag], and
	// the binary takes its version from git.
	Version string
	// Architectures are those to make it for, as Go calls them: amd64, arm64.
	Architectures []string
	// Archive is the file to write. For one architecture it is as docker save makes them,
	// for several an OCI archive with one list of images. Either has the name and the tag in it.
	Archive string
	// Log gets what the tools print.
	Log io.Writer
}

// Build makes the image from the commit that is checked out and what was changed since, but
// for files that git does not know. It needs go, git, and buildah or docker with buildx.
func Build(ctx context.Context, c Config) (err error) {
	if err := c.validate(); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	dir, err := os.MkdirTemp("", "fovea-image-")
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	j := job{Config: c, dir: dir, out: c.Archive + ".new"}
	if err := j.copySource(ctx); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	for _, arch := range c.Architectures {
		if err := j.compile(ctx, arch); err != nil {
			return fmt.Errorf("make an image: %w", err)
		}
	}
	if err := j.describe(); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	put, err := builder()
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Archive), 0o755); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	// What another left is in the tools' way.
	if err := os.RemoveAll(j.out); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	if err := put(j, ctx); err != nil {
		return errors.Join(fmt.Errorf("make an image: %w", err), os.RemoveAll(j.out))
	}
	if err := os.Rename(j.out, c.Archive); err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	return nil
}

// Reference is the image's name with its tag.
func (c Config) Reference() string {
	if c.Version == "" {
		return c.Name + ":" + DefaultTag
	}
	return c.Name + ":" + c.Version
}

func (c Config) validate() error {
	var errs []error
	if c.Name == "" || strings.ContainsAny(c.Name, " @") {
		errs = append(errs, fmt.Errorf("name: %q, want one such as ghcr.io/fovea-obs/fovea", c.Name))
	}
	if c.Version != "" && !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`).MatchString(c.Version) {
		errs = append(errs, fmt.Errorf("version: %q, want one that can be a tag: up to 128 letters, digits, underscores, dots and dashes", c.Version))
	}
	allowed := []string{"amd64", "arm64"}
	for i, arch := range c.Architectures {
		if !slices.Contains(allowed, arch) || slices.Contains(c.Architectures[:i], arch) {
			errs = append(errs, fmt.Errorf("architecture: %q, want %s, each once", arch, strings.Join(allowed, " or ")))
		}
	}
	if len(c.Architectures) == 0 {
		errs = append(errs, fmt.Errorf("architecture: none, want %s", strings.Join(allowed, " or ")))
	}
	if c.Archive == "" || strings.ContainsAny(c.Archive, ":,") {
		errs = append(errs, fmt.Errorf("archive: %q, want a path with no colon or comma", c.Archive))
	}
	return errors.Join(errs...)
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// makeCgroup makes a control group for a node, in each hierarchy, and returns
// its name.
func (s *state) makeCgroup(node string) (string, error) {
	roots, err := cgroupRoots()
	if err != nil {
		return "", err
	}
	name := filepath.Join("/", filepath.Base(s.dir), node)
	for _, r := range roots {
		if err := os.MkdirAll(filepath.Join(r, name), 0o755); err != nil {
			return "", fmt.Errorf("make control group: %w", err)
		}
	}
	return name, nil
}

func (s *state) removeCgroups(ctx context.Context) error {
	roots, err := cgroupRoots()
	errs := []error{err}
	for _, r := range roots {
		errs = append(errs, removeTree(ctx, filepath.Join(r, filepath.Base(s.dir))))
	}
	return errors.Join(errs...)
}

// cgroupRoots is where the hierarchies of control groups are mounted: one, or
// several in version 1.
func cgroupRoots() ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	var roots []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup" || f[2] == "cgroup2" {
			roots = append(roots, f[1])
		}
	}
	return roots, nil
}

// removeTree removes a control group and those below it, whose files go with
// them. Processes that were killed may still be in them for a moment.
func removeTree(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove control group: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(ctx, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	err = unix.Rmdir(dir)
	for errors.Is(err, unix.EBUSY) && pause(ctx) == nil {
		err = unix.Rmdir(dir)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove control group %s: %w", dir, err)
	}
	return nil
}

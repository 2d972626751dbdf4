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
	cluster := filepath.Base(s.dir)
	for _, r := range roots {
		if err := os.MkdirAll(filepath.Join(r, cluster, node), 0o755); err != nil {
			return "", fmt.Errorf("make control group: %w", err)
		}
		if err := passControllers(r, filepath.Join(r, cluster)); err != nil {
			return "", err
		}
	}
	return filepath.Join("/", cluster, node), nil
}

// passControllers gives all that a hierarchy of version 2 controls to groups
// below each of the groups, the outermost first. In version 1 they have it.
func passControllers(groups ...string) error {
	for _, g := range groups {
		all, err := os.ReadFile(filepath.Join(g, "cgroup.controllers"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read controllers: %w", err)
		}
		for _, c := range strings.Fields(string(all)) {
			if err := os.WriteFile(filepath.Join(g, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
				return fmt.Errorf("pass the controller %s on: %w", c, err)
			}
		}
	}
	return nil
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

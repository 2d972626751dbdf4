package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fovea-obs/fovea/hack/cluster/machine"
)

// mountAll mounts what the machine has to itself. What is mounted from here on
// is seen by nobody else and is shared among the machine's own mount
// namespaces, as kubelets expect it.
func mountAll(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the mounts of others: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := shield(filepath.Join(dir, "sysctl")); err != nil {
		return err
	}
	for _, d := range machine.Dirs() {
		if err := bind(filepath.Join(dir, d), "/"+d); err != nil {
			return err
		}
	}
	return nil
}

// shield hides settings of the whole kernel that a kubelet changes behind files,
// so that it changes these instead.
func shield(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for settings: %w", err)
	}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom",
		"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		path := filepath.Join("/proc/sys", name)
		value, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		if err == nil {
			err = os.WriteFile(file, value, 0o644)
		}
		if err != nil {
			return fmt.Errorf("copy setting %s: %w", name, err)
		}
		if err := bind(file, path); err != nil {
			return err
		}
	}
	return nil
}

func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, to, err)
	}
	return nil
}

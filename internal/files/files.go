// Package files tells when files may have changed, by the kernel's notice
// (inotify) and not by looking again and again.
package files

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long after a change it is told, so that a file written in
	// place is whole. Changes in that time are told with it.
	settle = 100 * time.Millisecond
	// retry is how long a directory that cannot be watched is left alone.
	retry = time.Second
)

// Watch calls changed at once, and again whenever one of the files may have
// changed, until ctx ends. The files need not exist, nor their directories: while
// one is not there, changed is called once a second. Calls do not overlap. Watch
// fails only if the system allows no watch at all.
func Watch(ctx context.Context, paths []string, log *slog.Logger, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %q: %w", paths, err)
	}
	defer w.Close()

	timer := time.NewTimer(0)
	defer timer.Stop()
	pending := true
	wait := func(d time.Duration) {
		if !pending {
			pending = true
			timer.Reset(d)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			wait(settle)
		case err := <-w.Errors:
			log.Warn("Changes of files were missed, reading them again", "files", paths, "error", err)
			wait(settle)
		case <-timer.C:
			pending = false
			// Watched before they are read: a change in between is an event.
			if !follow(w, paths, log) {
				wait(retry)
			}
			changed()
		}
	}
}

// follow watches the directory of each path and, if that is a symbolic link,
// the one of the file behind it, and no others. Directories, as editors and
// volumes of Kubernetes put another file in the place of the old one. It returns
// false if one of them cannot be watched now.
func follow(w *fsnotify.Watcher, paths []string, log *slog.Logger) bool {
	var dirs []string
	all := true
	for _, path := range paths {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			all = false
			continue
		}
		dirs = append(dirs, dir)
		if file, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	for _, old := range w.WatchList() {
		if !slices.Contains(dirs, old) {
			// It may be gone already, and its watch with it.
			_ = w.Remove(old)
		}
	}
	for _, dir := range dirs {
		if err := w.Add(dir); err != nil {
			log.Debug("Directory cannot be watched", "directory", dir, "error", err)
			all = false
		}
	}
	return all
}

package static

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long after a change the file is read, so that one written
	// in place is whole. Changes in that time are read with it.
	settle = 100 * time.Millisecond
	// retry is how long a directory that cannot be watched is left alone.
	retry = time.Second
)

// Watch applies the file whenever it changes, until ctx ends. It fails only if
// the system allows no watch at all. The file need not exist, nor have been
// loaded. Watch logs mistakes, and that the file is gone, once each.
func (s *Source) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.c.Path, err)
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
			s.c.Log.Warn("Changes of the endpoints file were missed, reading it again", "file", s.c.Path, "error", err)
			wait(settle)
		case <-timer.C:
			pending = false
			// Watched before it is read: a change in between is an event.
			if !s.follow(w) {
				wait(retry)
			}
			s.reload()
		}
	}
}

// follow watches the directory of the path and, if that is a symbolic link,
// the one of the file behind it, and no others. Directories, as editors and
// ConfigMaps put another file in the place of the old one. It returns false if
// there is nothing to be watched now.
func (s *Source) follow(w *fsnotify.Watcher) bool {
	dir, err := filepath.EvalSymlinks(filepath.Dir(s.c.Path))
	if err != nil {
		return false
	}
	dirs := []string{dir}
	if file, err := filepath.EvalSymlinks(s.c.Path); err == nil {
		dirs = append(dirs, filepath.Dir(file))
	}
	for _, old := range w.WatchList() {
		if !slices.Contains(dirs, old) {
			// It may be gone already, and its watch with it.
			_ = w.Remove(old)
		}
	}
	for _, dir := range dirs {
		if err := w.Add(dir); err != nil {
			s.c.Log.Debug("Directory of the endpoints file cannot be watched", "directory", dir, "error", err)
			return false
		}
	}
	return true
}

// reload applies the file if its content is not the one read last.
func (s *Source) reload() {
	data, err := os.ReadFile(s.c.Path)
	if err != nil {
		if !s.gone {
			s.c.Log.Error("Endpoints file cannot be read, its old content stays", "error", err)
		}
		s.gone = true
		return
	}
	if s.gone {
		s.gone = false
		s.c.Log.Info("Endpoints file can be read again", "file", s.c.Path)
	}
	if s.content != nil && bytes.Equal(data, s.content) {
		return
	}
	var mistakes Mistakes
	if errors.As(s.take(data), &mistakes) {
		for _, m := range mistakes {
			s.c.Log.Error("Mistake in the endpoints file, its old content stays", "error", m)
		}
	}
}

package static

import (
	"bytes"
	"context"
	"errors"
	"os"

	"github.com/fovea-obs/fovea/internal/files"
)

// Watch applies the file whenever it changes, until ctx ends. It fails only if
// the system allows no watch at all. The file need not exist, nor have been
// loaded. Watch logs mistakes, and that the file is gone, once each.
func (s *Source) Watch(ctx context.Context) error {
	return files.Watch(ctx, []string{s.c.Path}, s.c.Log, s.reload)
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

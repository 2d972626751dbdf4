package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	statePrefix = "fovea-cluster-"
	// removeTimeout is how long the kernel may take to end processes that were
	// killed.
	removeTimeout = 10 * time.Second
)

// state is a cluster's directory, and its control groups, which have the
// directory's name. A lock on the directory tells that its cluster lives.
type state struct {
	dir  string
	lock *os.File
}

// newState makes a directory below base, and removes those of clusters that
// were killed.
func newState(base string) (*state, error) {
	// Under this lock a directory is locked as soon as others can see it.
	all, err := lockDir(base, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	if err := sweep(base); err != nil {
		return nil, fmt.Errorf("remove what a killed cluster left: %w", err)
	}
	dir, err := os.MkdirTemp(base, statePrefix)
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	lock, err := lockDir(dir, unix.LOCK_EX)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &state{dir: dir, lock: lock}, nil
}

// Sweep removes what killed clusters left, as Start does.
func Sweep() error {
	all, err := lockDir(os.TempDir(), unix.LOCK_EX)
	if err != nil {
		return err
	}
	return errors.Join(sweep(os.TempDir()), all.Close())
}

// sweep removes the directories that nobody holds.
func sweep(base string) error {
	dirs, err := filepath.Glob(filepath.Join(base, statePrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range dirs {
		lock, err := lockDir(d, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, err)
		default:
			errs = append(errs, (&state{dir: d, lock: lock}).remove())
		}
	}
	return errors.Join(errs...)
}

// lockDir locks a directory until the file is closed.
func lockDir(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// write writes a file and returns its path.
func (s *state) write(name string, text []byte) (string, error) {
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// remove removes the directory and the control groups. Their processes must
// have been killed.
func (s *state) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return errors.Join(s.removeCgroups(ctx), os.RemoveAll(s.dir), s.lock.Close())
}

// pause waits a little between two looks at what tells of no change.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

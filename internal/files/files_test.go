package files

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched has the contents of files, as they are when they change.
type watched struct {
	t    *testing.T
	seen chan string
}

// watch follows files until the test ends.
func watch(t *testing.T, paths ...string) *watched {
	t.Helper()
	w := &watched{t, make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Watch(ctx, paths, slog.New(slog.DiscardHandler), func() {
			var contents []string
			for _, path := range paths {
				content, err := os.ReadFile(path)
				if err != nil {
					content = []byte("none")
				}
				contents = append(contents, string(content))
			}
			w.seen <- strings.Join(contents, " ")
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// wait returns when the files hold that.
func (w *watched) wait(want string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	var seen []string
	for !slices.Contains(seen, want) {
		select {
		case s := <-w.seen:
			seen = append(seen, s)
		case <-deadline:
			w.t.Fatalf("not seen: %q, but %q", want, seen)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWatch changes two files in directories of their own.
func TestWatch(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	check(t, os.WriteFile(a, []byte("1"), 0o600))
	w := watch(t, a, b)
	w.wait("1 none")
	check(t, os.WriteFile(b, []byte("2"), 0o600))
	w.wait("1 2")
	check(t, os.WriteFile(a+"~", []byte("3"), 0o600))
	check(t, os.Rename(a+"~", a))
	w.wait("3 2")
	check(t, os.Remove(b))
	w.wait("3 none")
}

// TestDirectoryAbsent has one file whose directory comes later, beside one that
// changes meanwhile.
func TestDirectoryAbsent(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "later", "b")
	w := watch(t, a, b)
	w.wait("none none")
	check(t, os.WriteFile(a, []byte("1"), 0o600))
	w.wait("1 none")
	check(t, os.Mkdir(filepath.Dir(b), 0o700))
	check(t, os.WriteFile(b, []byte("2"), 0o600))
	w.wait("1 2")
}

// TestFileBehindLink changes the file itself, in another directory.
func TestFileBehindLink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.WriteFile(file, []byte("1"), 0o600))
	check(t, os.Symlink(file, link))
	w := watch(t, link)
	w.wait("1")
	check(t, os.WriteFile(file, []byte("2"), 0o600))
	w.wait("2")
}

package static

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// watched is a source that watches a file, and the log by which a test waits.
type watched struct {
	*Source
	t    *testing.T
	logs chan string
}

// watch starts a source on path, which ends with the test.
func watch(t *testing.T, path string) *watched {
	t.Helper()
	logs := make(chan string, 1000)
	w := &watched{New(config(path, slog.New(slog.NewTextHandler(lines(logs), nil)))), t, logs}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// lines is a writer of log lines.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// wait returns when a line with all words was logged.
func (w *watched) wait(words ...string) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	var seen []string
next:
	for {
		select {
		case line := <-w.logs:
			seen = append(seen, line)
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue next
				}
			}
			return
		case <-deadline:
			w.t.Fatalf("no log of %q, but\n%s", words, strings.Join(seen, ""))
		}
	}
}

// pod checks who has 10.1.0.2.
func (w *watched) pod(want string) {
	w.t.Helper()
	got := w.c.Endpoints.At(w.c.Endpoints.Remote(netip.MustParseAddr("10.1.0.2"), 1))
	if got.Pod != want {
		w.t.Errorf("10.1.0.2 is pod %q, want %q", got.Pod, want)
	}
}

func content(pod string) string {
	return fmt.Sprintf("endpoints: [{namespace: shop, pod: %s, addresses: [10.1.0.2]}]\n", pod)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchWrittenInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, content("a"))
	w := watch(t, path)
	w.wait("applied")
	w.pod("a")
	write(t, path, content("b"))
	w.wait("applied")
	w.pod("b")
}

func TestWatchRenamedOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "endpoints.yaml")
	write(t, path, content("a"))
	w := watch(t, path)
	w.wait("applied")
	for _, pod := range []string{"b", "c", "d"} {
		write(t, path+"~", content(pod))
		do(t, os.Rename(path+"~", path))
		w.wait("applied")
		w.pod(pod)
	}
}

// TestWatchConfigMap changes the file as Kubernetes does: ..data is a link to
// a directory, and another link is renamed over it.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "endpoints.yaml")
	version := func(name, text string) {
		t.Helper()
		do(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		write(t, filepath.Join(dir, name, "endpoints.yaml"), text)
		do(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		do(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	version("..1", content("a"))
	do(t, os.Symlink("..data/endpoints.yaml", path))
	w := watch(t, path)
	w.wait("applied")
	for i, pod := range []string{"b", "c", "d"} {
		version(fmt.Sprintf("..%d", i+2), content(pod))
		do(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..%d", i+1))))
		w.wait("applied")
		w.pod(pod)
	}
}

func TestWatchLinkToElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "real.yaml")
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, file, content("a"))
	do(t, os.Symlink(file, path))
	w := watch(t, path)
	w.wait("applied")
	write(t, file, content("b"))
	w.wait("applied")
	w.pod("b")
}

func TestWatchMistakeKeepsOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, content("a"))
	w := watch(t, path)
	w.wait("applied")
	write(t, path, "nodes:\npod: x\nservices: 3\n")
	w.wait("Mistake", path+":2: pod: unknown field")
	w.wait("Mistake", path+":3: services:")
	w.pod("a")
	write(t, path, content("b"))
	w.wait("applied")
	w.pod("b")
}

func TestWatchVanishedKeepsOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, content("a"))
	w := watch(t, path)
	w.wait("applied")
	do(t, os.Remove(path))
	w.wait("cannot be read", "no such file")
	w.pod("a")
	write(t, path, content("a"))
	w.wait("can be read again")
	w.pod("a")
	write(t, path, content("b"))
	w.wait("applied")
	w.pod("b")
}

// TestWatchDirectoryVanished needs the directory to be found again, which no
// event tells.
func TestWatchDirectoryVanished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	path := filepath.Join(dir, "endpoints.yaml")
	w := watch(t, path)
	w.wait("cannot be read", "no such file")
	for _, pod := range []string{"a", "b"} {
		do(t, os.Mkdir(dir, 0o700))
		write(t, path, content(pod))
		w.wait("applied")
		w.pod(pod)
		do(t, os.RemoveAll(dir))
		w.wait("cannot be read", "no such file")
	}
}

func TestWatchLastChangeCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, content("pod-0"))
	w := watch(t, path)
	w.wait("applied")
	const last = 2000
	for i := range last + 1 {
		write(t, path+"~", content(fmt.Sprintf("pod-%d", i)))
		do(t, os.Rename(path+"~", path))
	}
	for w.c.Endpoints.At(w.c.Endpoints.Remote(netip.MustParseAddr("10.1.0.2"), 1)).Pod != fmt.Sprintf("pod-%d", last) {
		w.wait("applied")
	}
}

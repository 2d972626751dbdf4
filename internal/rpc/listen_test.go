package rpc

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listen opens an address and closes it when the test ends.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestIsAddress(t *testing.T) {
	for address, want := range map[string]bool{
		":4245": true, "10.0.0.1:4244": true, "[::1]:0": true, "unix:///run/a.sock": true, "unix:a.sock": true,
		"": false, "4245": false, "node1": false, ":x": false, ":65536": false, "::1:4244": false, "unix:": false, "unix://": false,
	} {
		if got := IsAddress(address); got != want {
			t.Errorf("%q: got %v", address, got)
		}
	}
}

func TestListenUnix(t *testing.T) {
	for _, scheme := range []string{"unix:", "unix://"} {
		path := filepath.Join(t.TempDir(), "a", "b", "hubble.sock")
		l := listen(t, scheme+path)
		if got := l.Addr().String(); got != path {
			t.Errorf("%s: listens on %s, want %s", scheme, got, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != socketMode {
			t.Errorf("%s: mode %v", scheme, info.Mode())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: socket is left behind: %v", scheme, err)
		}
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubble.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	listen(t, "unix://"+path)
}

func TestListenLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	served := filepath.Join(dir, "served.sock")
	listen(t, "unix://"+served)
	if _, err := Listen(t.Context(), "unix://"+served); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), served) {
		t.Errorf("got %v, want ErrInUse and the path", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix://"+file); err == nil {
		t.Error("a file was taken for a socket")
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("file is now %q, %v", content, err)
	}
}

func TestListenTCP(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	if _, err := Listen(t.Context(), l.Addr().String()); err == nil {
		t.Error("a port was given twice")
	}
	if _, err := Listen(t.Context(), "no port"); err == nil {
		t.Error("an address without a port was taken")
	}
}

package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	unixScheme = "unix:"
	// socketMode lets the socket's group in, and nobody else.
	socketMode    = 0o660
	directoryMode = 0o755
	probeTimeout  = time.Second
)

// ErrInUse is returned for a unix socket that another process serves.
var ErrInUse = errors.New("served by another process")

// IsAddress tells whether [Listen] takes an address for one: unix: with a path, or host:port
// with a number for the port.
func IsAddress(s string) bool {
	if path, ok := strings.CutPrefix(s, unixScheme); ok {
		return strings.TrimPrefix(path, "//") != ""
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// Listen opens an address: unix:///path or unix:path for a unix socket, and
// otherwise host:port for TCP.
//
// A socket's directory is created, and a socket that a dead process left
// behind is replaced. One that is served fails with [ErrInUse], and a path that
// is something else than a socket fails too.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, unixScheme)
	if !unix {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on TCP %s: %w", address, err)
		}
		return l, nil
	}
	path = strings.TrimPrefix(path, "//")
	l, err := listenUnix(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("listen on unix socket %s: %w", path, err)
	}
	return l, nil
}

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), directoryMode); err != nil {
		return nil, err
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket at path if nobody listens on it.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("it exists and is no socket, but %s", info.Mode())
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(ErrInUse, conn.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("find out whether it is served: %w", err)
	}
	return os.Remove(path)
}

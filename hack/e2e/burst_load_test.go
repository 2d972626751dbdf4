package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
)

// burst makes so many connections to an echo server as fast as it can, with
// blocking system calls in some threads: the Go runtime's way of waiting takes
// more of a small machine's time than the connections.
func burst(ns *lab.Namespace, to netip.AddrPort, connections, threads int) error {
	var left atomic.Int64
	left.Store(int64(connections))
	errs := make([]error, threads)
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() {
			errs[i] = ns.Do(func() error {
				for left.Add(-1) >= 0 {
					if err := shortConnection(to); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// shortConnection has a few bytes echoed, and waits for the server's end.
func shortConnection(to netip.AddrPort) (err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, make([]byte, 100)); err != nil {
		return err
	}
	buf := make([]byte, 128)
	for got := 0; got < 100; {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return fmt.Errorf("read echo: %d bytes, %w", n, err)
		}
		got += n
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return err
	}
	if n, err := unix.Read(fd, buf); n != 0 || err != nil {
		return fmt.Errorf("no end after echo: %d bytes, %w", n, err)
	}
	return nil
}

// burstServer echoes short connections with blocking system calls.
type burstServer struct {
	fd int
	wg sync.WaitGroup
}

func serveBurst(ns *lab.Namespace, port, threads int) (*burstServer, error) {
	s := &burstServer{}
	err := ns.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = errors.Join(unix.Bind(s.fd, &unix.SockaddrInet4{Port: port}), unix.Listen(s.fd, 1024))
	if err != nil {
		return nil, errors.Join(err, unix.Close(s.fd))
	}
	for range threads {
		s.wg.Go(s.serve)
	}
	return s, nil
}

// serve ends when the socket is shut down. What goes wrong with a connection
// its client notices.
func (s *burstServer) serve() {
	buf := make([]byte, 128)
	for {
		fd, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		for {
			n, err := unix.Read(fd, buf)
			if n <= 0 || err != nil {
				break
			}
			_, _ = unix.Write(fd, buf[:n])
		}
		_ = unix.Close(fd)
	}
}

func (s *burstServer) Close() error {
	err := unix.Shutdown(s.fd, unix.SHUT_RDWR)
	s.wg.Wait()
	return errors.Join(err, unix.Close(s.fd))
}

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// currentNetns is the network namespace of the calling OS thread.
const currentNetns = "/proc/thread-self/ns/net"

// Namespace is a network namespace without a name. It lives as long as its
// file descriptor, a process started in it or a socket made in it: when this
// process is killed, the kernel removes it.
//
// All methods may be called from several goroutines at once.
type Namespace struct {
	file *os.File

	mu      sync.Mutex // guards what follows, and starts of processes
	closed  bool
	starter *starter
	last    int // number given out last
}

// NewNamespace makes a network namespace in which only the loopback interface
// is up. The caller owns it and must call [Namespace.Close].
func NewNamespace() (*Namespace, error) {
	file, err := unshareNetns()
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	n := &Namespace{file: file}
	if err := n.loopbackUp(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// unshareNetns makes the namespace on a thread of its own, which returns to
// the namespace it came from.
func unshareNetns() (*os.File, error) {
	var file *os.File
	err := inNetns(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		f, err := os.Open(currentNetns)
		file = f
		return err
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return file, nil
}

// inNetns locks the calling goroutine to its thread, calls enter to change the
// thread's network namespace, calls fn, and moves the thread back. A thread
// that can't be moved back stays locked, so that it ends with its goroutine.
func inNetns(enter, fn func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open(currentNetns)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("return to own network namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// Do runs fn in the calling goroutine, with the goroutine's OS thread moved
// into the namespace, and returns fn's error. Sockets that fn makes belong to
// the namespace for good. Goroutines that fn starts do not run in it. Calls may
// run at the same time and may be nested, also for different namespaces.
//
// If the thread can't be moved back afterwards, Do returns an error and leaves
// the goroutine locked to the thread; the goroutine should then end.
func (n *Namespace) Do(fn func() error) error {
	return inNetns(n.enter, fn)
}

// enter moves the calling thread into the namespace.
func (n *Namespace) enter() error {
	raw, err := n.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	var setErr error
	err = raw.Control(func(fd uintptr) { setErr = unix.Setns(int(fd), unix.CLONE_NEWNET) })
	if err := errors.Join(err, setErr); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

// FD is the file descriptor that keeps the namespace alive. It belongs to the
// namespace: it is invalid after [Namespace.Close] and must not be closed.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Path is the file through which this process and others can open the
// namespace until [Namespace.Close], for example for setns or nsenter.
func (n *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD())
}

// Inode is the number of the namespace's file, as in /proc/<pid>/ns/net. The
// kernel may give it to another namespace once this one is gone.
func (n *Namespace) Inode() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(n.FD(), &st); err != nil {
		return 0, fmt.Errorf("stat network namespace: %w", err)
	}
	return st.Ino, nil
}

// Cookie is the kernel's number for the namespace, which is never reused.
func (n *Namespace) Cookie() (uint64, error) {
	var cookie uint64
	err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read network namespace cookie: %w", err)
	}
	return cookie, nil
}

// Netlink opens a netlink handle (routing and netfilter) in the namespace. The
// caller must close it.
func (n *Namespace) Netlink() (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(n.FD()), unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink in network namespace: %w", err)
	}
	return h, nil
}

// number returns a number that no other call on the namespace returns.
func (n *Namespace) number() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	return n.last
}

func (n *Namespace) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// Close gives up the namespace and kills the processes started in it with
// [Namespace.Start], whose owners still have to wait for them. The kernel
// removes the namespace once no socket in it is open any more. Close may be
// called more than once.
func (n *Namespace) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	if n.starter != nil {
		n.starter.stop()
	}
	return n.file.Close()
}

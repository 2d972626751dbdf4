package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/lab/capture"
)

const (
	// streamEvery is how often each stream sends.
	streamEvery = 2 * time.Millisecond
	// streamPort is where streams' servers are.
	streamPort = 7
	// lastMessage marks the number of a stream's last message.
	lastMessage = 1 << 63
)

// streams are numbered messages both ways between two pods, over UDP and TCP,
// that run until they are stopped.
type streams struct {
	stopped chan struct{}
	wg      sync.WaitGroup
	// received are messages over UDP, overtaking those that came before another
	// that was sent before.
	received, overtaking atomic.Uint64

	mu   sync.Mutex
	errs []error
}

// startStreams starts streams from a client to a server, and back.
func (r *rendezvous) startStreams(t *testing.T, client, server *lab.Pod) *streams {
	t.Helper()
	s := &streams{stopped: make(chan struct{})}
	for _, proto := range []uint8{capture.UDP, capture.TCP} {
		c := r.begin(t, dial{
			proto: proto, from: client.NS, to: netip.AddrPortFrom(server.IPv4, streamPort), pod: server, podPort: streamPort,
		})
		check(t, errors.Join(enlargeBuffer(c.client), enlargeBuffer(c.server)))
		check(t, errors.Join(c.client.SetDeadline(time.Time{}), c.server.SetDeadline(time.Time{})))
		s.run(proto, c.client, c.server)
		s.run(proto, c.server, c.client)
	}
	return s
}

// enlargeBuffer keeps a socket from losing what comes while this process is
// kept from running.
func enlargeBuffer(c net.Conn) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	})
	return errors.Join(err, setErr)
}

// run starts one stream.
func (s *streams) run(proto uint8, from, to net.Conn) {
	s.wg.Go(func() { s.note(s.send(from)) })
	s.wg.Go(func() { s.note(s.take(proto, to)) })
}

func (s *streams) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

func (s *streams) send(c net.Conn) error {
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	var message [8]byte
	for n := uint64(0); ; n++ {
		select {
		case <-s.stopped:
			n |= lastMessage
		case <-tick.C:
		}
		binary.BigEndian.PutUint64(message[:], n)
		if _, err := c.Write(message[:]); err != nil || n&lastMessage != 0 {
			return err
		}
	}
}

// take checks that all messages come, each once. Datagrams may overtake each
// other: a veth hands them to the CPU that they are sent on.
func (s *streams) take(proto uint8, c net.Conn) error {
	var message [8]byte
	ahead := map[uint64]bool{}
	for next, end := uint64(0), uint64(lastMessage); next <= end; {
		if _, err := io.ReadFull(c, message[:]); err != nil {
			return fmt.Errorf("protocol %d: message %d of %d, with %d after it there: %w", proto, next, end, len(ahead), err)
		}
		n := binary.BigEndian.Uint64(message[:])
		if n&lastMessage != 0 {
			n &^= lastMessage
			end = n
			if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
				return err
			}
		}
		if n < next || ahead[n] {
			return fmt.Errorf("protocol %d: message %d came twice", proto, n)
		}
		ahead[n] = true
		for ; ahead[next]; next++ {
			delete(ahead, next)
		}
		if n >= next {
			s.overtaking.Add(1)
		}
		if proto == capture.UDP {
			s.received.Add(1)
		}
	}
	return nil
}

// stop ends the streams and returns what was lost.
func (s *streams) stop() error {
	close(s.stopped)
	s.wg.Wait()
	return errors.Join(s.errs...)
}

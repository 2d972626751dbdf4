package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how many bytes a client sends before it reads them back. It fits
// into the socket buffers.
const chunk = 16 << 10

// TCPLoad is many connections to an echo server.
type TCPLoad struct {
	Target      netip.AddrPort
	Connections int // how many, 1 if 0
	Bytes       int // to send and read back on each
	Concurrency int // how many at a time, 1 if 0
	Rate        int // limit of new connections a second, none if 0
}

// Run makes the connections in ns and closes each in order: the client ends its
// direction, reads up to the end of the other and closes, so that no reset is
// sent. It returns how many went through whole, and the error of the first that
// did not, after which no more are started.
func (l TCPLoad) Run(ctx context.Context, ns *Namespace) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tickets := l.tickets(ctx)
	var done atomic.Int64
	var wg sync.WaitGroup
	for range max(l.Concurrency, 1) {
		wg.Go(func() {
			for range tickets {
				if err := l.once(ctx, ns); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	n, err := int(done.Load()), context.Cause(ctx)
	cancel(nil)
	for range tickets { // ends when the goroutine behind it does
	}
	if n < max(l.Connections, 1) {
		return n, fmt.Errorf("TCP load to %s: %w", l.Target, err)
	}
	return n, nil
}

// tickets allows as many connections as wanted, at the rate wanted. The
// goroutine behind it ends with ctx.
func (l TCPLoad) tickets(ctx context.Context) <-chan struct{} {
	tickets := make(chan struct{})
	go func() {
		defer close(tickets)
		start := time.Now()
		for i := range max(l.Connections, 1) {
			if l.Rate > 0 && !sleepUntil(ctx, start.Add(time.Duration(i)*time.Second/time.Duration(l.Rate))) {
				return
			}
			select {
			case tickets <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return tickets
}

// sleepUntil returns false if ctx ends before t.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l TCPLoad) once(ctx context.Context, ns *Namespace) error {
	c, err := ns.Dial(ctx, "tcp", l.Target.String())
	if err != nil {
		return err
	}
	defer c.Close()
	defer interrupt(ctx, c)()
	if err := exchange(c.(*net.TCPConn), l.Bytes); err != nil {
		return fmt.Errorf("exchange with echo server: %w", err)
	}
	return nil
}

// exchange sends size bytes, reads them back and waits for the peer's end.
func exchange(c *net.TCPConn, size int) error {
	sent, got := payload(min(size, chunk)), make([]byte, min(size, chunk))
	for left := size; left > 0; {
		n := min(left, chunk)
		if _, err := c.Write(sent[:n]); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, got[:n]); err != nil {
			return err
		}
		if !bytes.Equal(sent[:n], got[:n]) {
			return errors.New("echo differs")
		}
		left -= n
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("no end after echo: %d bytes, %w", n, err)
	}
	return nil
}

// payload is n bytes that are not all the same.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return b
}

// deadliner is a connection whose blocked calls end at its deadline.
type deadliner interface {
	SetDeadline(time.Time) error
}

// interrupt makes calls on c fail when ctx ends, until the returned function is
// called.
func interrupt(ctx context.Context, c deadliner) func() {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

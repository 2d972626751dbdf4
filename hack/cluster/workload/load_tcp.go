package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// tcp makes connections of TCP. One that fails is told, and the others go on.
func (l loader) tcp(ctx context.Context) (tally, error) {
	due := make(chan int64)
	tallies := make([]tally, l.atOnce)
	var workers sync.WaitGroup
	for i := range tallies {
		workers.Go(func() {
			for n := range due {
				l.askTCP(n, &tallies[i])
			}
		})
	}
	err := l.pace(ctx, func(n int64) error {
		select {
		case due <- n:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(due)
	workers.Wait()
	var sum tally
	for _, t := range tallies {
		sum.Asked += t.Asked
		sum.Answered += t.Answered
		if sum.Error == "" {
			sum.Error = t.Error
		}
	}
	return sum, err
}

// askTCP makes one connection. It ends also after the load is to.
func (l loader) askTCP(n int64, t *tally) {
	t.Asked++
	if err := l.tryTCP(n); err != nil {
		if t.Error == "" {
			t.Error = err.Error()
		}
		return
	}
	t.Answered++
}

// tryTCP asks, and reads the answer to its end: the other closes first, so that its
// port, and not this one's, is not to be had for a while.
func (l loader) tryTCP(n int64) error {
	d := net.Dialer{Timeout: callTimeout}
	d.SetMultipathTCP(false)
	conn, err := d.Dial("tcp4", netip.AddrPortFrom(l.to, l.ports.at(n)).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, question); err != nil {
		return err
	}
	buf := make([]byte, len(answer)+1)
	if n, err := io.ReadFull(conn, buf); err != io.ErrUnexpectedEOF || string(buf[:n]) != answer {
		return fmt.Errorf("answered %q: %v", buf[:n], err)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// udp asks from many source ports. Whether a question was answered is seen when its
// port asks the next: nobody is woken by an answer, as that would cost more than it.
func (l loader) udp(ctx context.Context) (t tally, err error) {
	sockets := make([]datagrams, 0, l.sockets)
	defer func() {
		for _, s := range sockets {
			err = errors.Join(err, s.close())
		}
	}()
	for range l.sockets {
		s, err := newDatagrams(0)
		if err != nil {
			return t, fmt.Errorf("make a socket after %d: %w", len(sockets), err)
		}
		sockets = append(sockets, s)
	}
	to := newPeer(netip.AddrPortFrom(l.to, 0))
	ask, buf := []byte(question), make([]byte, len(answer))
	err = l.pace(ctx, func(n int64) error {
		round, socket := n/int64(len(sockets)), sockets[n%int64(len(sockets))]
		for socket.receive(buf, nil) {
			t.Answered++
		}
		port := l.ports.at(round)
		to.setPort(port)
		// That nobody listens at the port before is told here.
		errno := socket.send(ask, &to)
		if errno != 0 && errno != unix.ENOBUFS && errno != unix.ECONNREFUSED {
			return fmt.Errorf("ask port %d: %w", port, errno)
		}
		t.Asked++
		return nil
	})
	return t, err
}

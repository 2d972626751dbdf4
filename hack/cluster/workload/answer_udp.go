package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerRest is how long no datagram is waited for, so that many are answered at
	// once: to be woken by each costs more than to answer it.
	answerRest = time.Millisecond
	// answerWait is how long is waited for one, in ms, until it is looked whether to end.
	answerWait = 100
	// answerBuffer is for datagrams that come while others run, in bytes; the kernel
	// may give less.
	answerBuffer = 4 << 20
)

// answerer answers datagrams at many ports.
type answerer struct {
	sockets []datagrams
	// ready tells which of them have any.
	ready int
}

// newAnswerer makes the sockets. The caller must close it.
func newAnswerer(at ports) (a *answerer, err error) {
	a = &answerer{}
	if a.ready, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("answer datagrams: %w", err)
	}
	for i := range at.count() {
		if err := a.listen(at.at(i)); err != nil {
			return nil, errors.Join(fmt.Errorf("answer datagrams at port %d: %w", at.at(i), err), a.close())
		}
	}
	return a, nil
}

func (a *answerer) listen(port uint16) error {
	s, err := newDatagrams(port)
	if err != nil {
		return err
	}
	a.sockets = append(a.sockets, s)
	if err := unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_RCVBUF, answerBuffer); err != nil {
		return err
	}
	return unix.EpollCtl(a.ready, unix.EPOLL_CTL_ADD, int(s), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s)})
}

func (a *answerer) close() error {
	errs := []error{unix.Close(a.ready)}
	for _, s := range a.sockets {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// run answers until the context ends.
func (a *answerer) run(ctx context.Context) error {
	events := make([]unix.EpollEvent, 64)
	buf, text := make([]byte, len(question)), []byte(answer)
	var from peer
	for ctx.Err() == nil {
		n, err := unix.EpollWait(a.ready, events, answerWait)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for datagrams: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			s := datagrams(e.Fd)
			for s.receive(buf, &from) {
				// One that cannot be sent is lost, as datagrams may be.
				_ = s.send(text, &from)
			}
		}
		time.Sleep(answerRest)
	}
	return nil
}

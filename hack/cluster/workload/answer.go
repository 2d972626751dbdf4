package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// answerAll answers at all ports until the context ends.
func answerAll(ctx context.Context, at ports) error {
	group, either := errgroup.WithContext(ctx)
	err := listenAll(either, group, at)
	if err != nil {
		group.Go(func() error { return err }) // which ends those that were begun
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// listenAll begins to answer in the group, until its context ends. Who reaches TCP
// reaches UDP.
func listenAll(ctx context.Context, group *errgroup.Group, at ports) error {
	udp, err := newAnswerer(at)
	if err != nil {
		return err
	}
	group.Go(func() error { return errors.Join(udp.run(ctx), udp.close()) })
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	for i := range at.count() {
		listener, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("", strconv.Itoa(int(at.at(i)))))
		if err != nil {
			return err
		}
		closeWith(ctx, group, listener)
		group.Go(func() error { return acceptTCP(group, listener) })
	}
	return nil
}

// closeWith closes what is served at when the context ends.
func closeWith(ctx context.Context, group *errgroup.Group, c io.Closer) {
	group.Go(func() error {
		<-ctx.Done()
		return c.Close()
	})
}

// acceptTCP answers connections, each in the group.
func acceptTCP(group *errgroup.Group, listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		group.Go(func() error {
			answerTCP(conn)
			return nil
		})
	}
}

// answerTCP answers a connection and closes it. What goes wrong is seen by who asked.
func answerTCP(conn net.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(callTimeout)) != nil {
		return
	}
	if _, err := io.ReadFull(conn, make([]byte, len(question))); err == nil {
		_, _ = io.WriteString(conn, answer)
	}
}

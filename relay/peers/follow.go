package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
)

// defaultPort is that of agents whose address has none.
const defaultPort = "4244"

// Follow has the peers be those that a Peer service tells of, until ctx ends. While the
// service is away they stay as they are.
func Follow(ctx context.Context, p *Peers, service string, log *slog.Logger) error {
	conn, err := dial(Node{Address: service}, p.credentials, p.codec)
	if err != nil {
		return fmt.Errorf("peer-service: %q is not valid: %w", service, err)
	}
	defer conn.Close()
	for wait := time.Second; ; wait = min(2*wait, retryMost) {
		begun := time.Now()
		err := follow(ctx, p, peerpb.NewPeerClient(conn), log)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > retryMost {
			wait = time.Second
		}
		log.Warn("The peer service does not answer: the nodes stay as they are", "address", service, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// settle is how long after a change the next is waited for: a service tells all that
// there are one by one.
const settle = 50 * time.Millisecond

// follow takes what one stream tells: at first all that there are, so those that are
// not told of are gone.
func follow(ctx context.Context, p *Peers, client peerpb.PeerClient, log *slog.Logger) error {
	stream, err := client.Notify(ctx, &peerpb.NotifyRequest{})
	if err != nil {
		return err
	}
	changes, failed := make(chan *peerpb.ChangeNotification), make(chan error, 1)
	go func() {
		for {
			c, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			changes <- c
		}
	}()
	// This returns once that has ended, and no sooner.
	nodes := map[string]Node{}
	var due <-chan time.Time
	for {
		select {
		case c := <-changes:
			apply(nodes, c)
			due = time.After(settle)
		case <-due:
			due = nil
			list := make([]Node, 0, len(nodes))
			for _, n := range nodes {
				list = append(list, n)
			}
			if err := p.Set(list); err != nil {
				log.Warn("A node cannot be asked", "error", err)
			}
		case err = <-failed:
			if errors.Is(err, io.EOF) {
				return errors.New("it ended the stream")
			}
			return err
		}
	}
}

func apply(nodes map[string]Node, c *peerpb.ChangeNotification) {
	if c.GetType() == peerpb.ChangeNotificationType_PEER_DELETED {
		delete(nodes, c.GetName())
		return
	}
	address := c.GetAddress()
	if _, _, err := net.SplitHostPort(address); err != nil && net.ParseIP(address) != nil {
		address = net.JoinHostPort(address, defaultPort)
	}
	nodes[c.GetName()] = Node{c.GetName(), address, c.GetTls().GetServerName()}
}

package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"

	"github.com/fovea-obs/fovea/internal/nodename"
)

// toldWithin is how long after a stream began a service has told of all nodes: one that was
// just started may know but its own.
const toldWithin = 10 * time.Second

// Follow has the peers be those that a Peer service tells of, until ctx ends. While the
// service is away they stay as they are.
func Follow(ctx context.Context, p *Peers, service string, log *slog.Logger) error {
	conn, err := p.dial(Node{Address: service})
	if err != nil {
		return fmt.Errorf("peer-service: %q is not valid: %w", service, err)
	}
	defer conn.Close()
	for wait := time.Second; ; wait = min(2*wait, p.retry) {
		begun := time.Now()
		err := follow(ctx, p, peerpb.NewPeerClient(conn), toldWithin, log)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > p.retry {
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
// not told of in time are gone.
func follow(ctx context.Context, p *Peers, client peerpb.PeerClient, within time.Duration, log *slog.Logger) error {
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
	nodes, before := map[string]Node{}, map[string]Node{}
	all, _ := p.All()
	for _, known := range all {
		before[known.Name] = known.Node
	}
	told := time.After(within)
	var due <-chan time.Time
	for {
		select {
		case c := <-changes:
			delete(before, c.GetName())
			apply(nodes, c)
			due = time.After(settle)
		case <-told:
			if len(nodes) > 0 {
				clear(before)
				due = time.After(0)
			}
		case <-due:
			due = nil
			list := slices.Concat(slices.Collect(maps.Values(nodes)), slices.Collect(maps.Values(before)))
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
	nodes[c.GetName()] = Node{c.GetName(), nodename.Address(c.GetAddress()), c.GetTls().GetServerName()}
}

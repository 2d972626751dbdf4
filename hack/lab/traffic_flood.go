package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// UDPFlood is small datagrams sent as fast as possible, many with one system
// call, to a server made with [ServeUDPSink]. It ends after Duration or after
// Packets, whichever is first; at least one must be set.
type UDPFlood struct {
	Target   netip.AddrPort
	Bytes    int // payload of each datagram
	Packets  int64
	Duration time.Duration
	Flows    int // source ports that take turns, 1 if 0
}

// FloodResult is what a flood sent. Some of it may be lost on the way; the
// server knows what arrived.
type FloodResult struct {
	Packets int64
	Bytes   int64 // of payload
	Elapsed time.Duration
}

// Run sends from ns.
func (f UDPFlood) Run(ctx context.Context, ns *Namespace) (result FloodResult, err error) {
	if f.Duration <= 0 && f.Packets <= 0 {
		return result, errors.New("flood without end")
	}
	conns := make([]*ipv4.PacketConn, max(f.Flows, 1))
	for i := range conns {
		c, err := ns.Dial(ctx, "udp", f.Target.String())
		if err != nil {
			return result, fmt.Errorf("flood: %w", err)
		}
		defer c.Close()
		conns[i] = ipv4.NewPacketConn(c.(*net.UDPConn))
	}
	messages := newMessages(payload(f.Bytes), batch)
	start := time.Now()
	defer func() { result.Elapsed = time.Since(start) }()
	for turn := 0; f.more(result.Packets, start); turn++ {
		if err := ctx.Err(); err != nil {
			return result, fmt.Errorf("flood to %s: %w", f.Target, err)
		}
		n, err := conns[turn%len(conns)].WriteBatch(messages[:f.next(result.Packets)], 0)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return result, fmt.Errorf("flood to %s: %w", f.Target, err)
		}
		result.Packets += int64(max(n, 0))
		result.Bytes += int64(max(n, 0) * f.Bytes)
	}
	return result, nil
}

func (f UDPFlood) more(sent int64, start time.Time) bool {
	return (f.Packets <= 0 || sent < f.Packets) && (f.Duration <= 0 || time.Since(start) < f.Duration)
}

// next is how many datagrams to send at once.
func (f UDPFlood) next(sent int64) int64 {
	if f.Packets <= 0 {
		return batch
	}
	return min(batch, f.Packets-sent)
}

package lab

import (
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

// bulkChunk is how many bytes a bulk transfer reads or writes at once.
const bulkChunk = 256 << 10

// TCPBulk is data sent as fast as possible to a server made with [ServeSink].
// It ends after Duration or after Bytes on each stream, whichever is first; at
// least one must be set.
type TCPBulk struct {
	Target   netip.AddrPort
	Duration time.Duration
	Bytes    int64
	Streams  int // connections at the same time, 1 if 0
}

// BulkResult is what a transfer achieved.
type BulkResult struct {
	Bytes   int64         // received by the server
	Elapsed time.Duration // from the first connection to the last byte received
}

// Run sends from ns and waits until the server has received everything.
func (b TCPBulk) Run(ctx context.Context, ns *Namespace) (BulkResult, error) {
	if b.Duration <= 0 && b.Bytes <= 0 {
		return BulkResult{}, errors.New("bulk transfer without end")
	}
	var total atomic.Int64
	streams := max(b.Streams, 1)
	errs := make([]error, streams)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			n, err := b.stream(ctx, ns, start)
			total.Add(n)
			errs[i] = err
		})
	}
	wg.Wait()
	result := BulkResult{Bytes: total.Load(), Elapsed: time.Since(start)}
	if err := errors.Join(errs...); err != nil {
		return result, fmt.Errorf("bulk transfer to %s: %w", b.Target, err)
	}
	return result, nil
}

func (b TCPBulk) stream(ctx context.Context, ns *Namespace, start time.Time) (int64, error) {
	conn, err := ns.Dial(ctx, "tcp", b.Target.String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()
	c := conn.(*net.TCPConn)
	data := payload(bulkChunk)
	var sent int64
	for b.more(sent, start) {
		n := int64(len(data))
		if b.Bytes > 0 {
			n = min(n, b.Bytes-sent)
		}
		written, err := c.Write(data[:n])
		sent += int64(written)
		if err != nil {
			return sent, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return sent, err
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return sent, fmt.Errorf("server did not read to the end: %w", err)
	}
	return sent, nil
}

func (b TCPBulk) more(sent int64, start time.Time) bool {
	return (b.Bytes <= 0 || sent < b.Bytes) && (b.Duration <= 0 || time.Since(start) < b.Duration)
}

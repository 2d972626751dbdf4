// Command soak writes many records while pods come and go, and readers check
// that each record still names who it was written for. It prints one line for
// each tenth of the way, and fails if memory grows or a name is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	records := flag.Uint64("records", 50_000_000, "how many records to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *records); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// growth is how much more memory the second half of the way may take than the
// first, after the history was full.
const growth = 1.05

func run(ctx context.Context, records uint64) error {
	n, err := newNode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	readers := []*reader{{node: n}, {node: n, again: true}}
	for _, r := range readers {
		wg.Go(func() { r.run(ctx) })
	}
	err = write(ctx, n, records)
	cancel()
	wg.Wait()
	for _, r := range readers {
		fmt.Printf("reader: %d records checked, %d overwritten before\n", r.checked, r.lost)
		if r.checked == 0 {
			err = errors.Join(err, errors.New("a reader has checked nothing"))
		}
		err = errors.Join(err, r.err)
	}
	return err
}

// write writes the records and watches memory meanwhile.
func write(ctx context.Context, n *node, records uint64) error {
	const steps = 10
	var early, late float64
	for step := range steps {
		for range records / steps {
			n.event()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rss, err := resident()
		if err != nil {
			return err
		}
		fmt.Printf("%d records, %d pods so far, numbers for %d versions, %.1f MiB\n",
			n.ingest.History.Next(), n.serial, n.ingest.Endpoints.Len(), rss)
		if step < steps/2 {
			early = max(early, rss)
		} else {
			late = max(late, rss)
		}
	}
	if n.ingest.History.Oldest() == 0 {
		return errors.New("the history was never full")
	}
	if late > early*growth {
		return fmt.Errorf("memory grew from %.1f to %.1f MiB", early, late)
	}
	if versions := n.ingest.Endpoints.Len(); uint64(versions) > n.serial/4 {
		return fmt.Errorf("numbers for %d versions, with %d pods so far", versions, n.serial)
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// loadStep is how often it is looked how many connections are due.
	loadStep = time.Millisecond
	// question is what a load asks, answer what it gets.
	question, answer = "question", "answer"
)

// tally is what became of a load.
type tally struct {
	// Asked are the connections that were begun, Answered those of them whose answer
	// was read: over UDP not the last of a source port.
	Asked    int64 `json:"asked"`
	Answered int64 `json:"answered"`
	// Error is the first that a connection failed with.
	Error string `json:"error,omitempty"`
}

// ports are all from the first to the last.
type ports struct{ first, last uint16 }

// parsePorts reads FIRST-LAST, or one port.
func parsePorts(text string) (ports, error) {
	first, last, found := strings.Cut(text, "-")
	if !found {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return ports{}, fmt.Errorf("-ports %q: want FIRST-LAST, from 1 to 65535", text)
	}
	return ports{uint16(a), uint16(b)}, nil
}

func (p ports) count() int64 { return int64(p.last-p.first) + 1 }

// at is the n-th port, around and around.
func (p ports) at(n int64) uint16 { return p.first + uint16(n%p.count()) }

// loader makes new connections at a rate.
type loader struct {
	to    netip.Addr
	ports ports
	// rate is how many a second.
	rate int64
	// sockets and atOnce are for UDP and for TCP.
	sockets, atOnce int
}

// runMany runs what makes many connections, or answers them, until the context ends.
func runMany(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	at := flags.String("ports", "20000-20999", "ports to answer at, or to ask")
	l := loader{}
	flags.Int64Var(&l.rate, "rate", 1000, "new connections a second")
	flags.IntVar(&l.sockets, "sockets", 8192, "source ports of UDP")
	flags.IntVar(&l.atOnce, "at-once", 256, "connections of TCP at the same time")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if l.ports, err = parsePorts(*at); err != nil {
		return err
	}
	if args[0] == "answer" {
		if flags.NArg() > 0 {
			return fmt.Errorf("answer: %q is too much", flags.Args())
		}
		return answerAll(ctx, l.ports)
	}
	if l.rate < 1 || l.sockets < 1 || l.atOnce < 1 {
		return fmt.Errorf("-rate %d, -sockets %d, -at-once %d: want 1 or more of each", l.rate, l.sockets, l.atOnce)
	}
	t, err := l.run(ctx, flags.Args())
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

func (l loader) run(ctx context.Context, targets []string) (tally, error) {
	if len(targets) != 1 {
		return tally{}, fmt.Errorf("load: %d targets, want one", len(targets))
	}
	u, err := url.Parse(targets[0])
	if err != nil {
		return tally{}, err
	}
	if l.to, err = netip.ParseAddr(u.Host); err != nil || !l.to.Is4() {
		return tally{}, fmt.Errorf("target %q: want an address of IPv4, and no port", targets[0])
	}
	switch u.Scheme {
	case "tcp":
		return l.tcp(ctx)
	case "udp":
		return l.udp(ctx)
	default:
		return tally{}, fmt.Errorf("target %q: want tcp://ADDRESS or udp://ADDRESS", targets[0])
	}
}

// pace calls do for the n-th connection once it is due, until the context ends or do
// fails. The two may be the same: an error after the end is none.
func (l loader) pace(ctx context.Context, do func(n int64) error) error {
	tick := time.NewTicker(loadStep)
	defer tick.Stop()
	start := time.Now()
	for n := int64(0); ; {
		due := int64(time.Since(start).Seconds() * float64(l.rate))
		for ; n < due && ctx.Err() == nil; n++ {
			if err := do(n); err != nil {
				if errors.Is(err, ctx.Err()) {
					return nil
				}
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

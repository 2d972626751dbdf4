// Command workload is what runs in the pods of tests. It makes real connections
// and reports each (package report) on its standard output.
//
//	workload server [-tcp :8080,...] [-udp :8080,...] [URL...]
//
// answers HTTP and datagrams with who it is and the client's address that it
// saw. Before it answers HTTP it calls the URLs, and fails if one of them does.
//
//	workload client [-interval 1s] [-count 0] [-timeout 5s] [-at-once] [-from 0] URL...
//
// calls the URLs again and again, or count times and then ends: with status 1
// if a call failed. Each call looks the name up in the DNS, takes the next of
// the addresses found, and makes a new connection: with -from from this port to
// the first URL, from the next to the second and so on.
//
// URLs are http://HOST:PORT or udp://HOST:PORT. Who a pod is comes from
// POD_NAMESPACE and POD_NAME.
//
// To make many connections there are two more, which report none of them:
//
//	workload answer [-ports 20000-20999]
//
// answers one request of each TCP connection, and each datagram, at all of these
// ports.
//
//	workload load [-rate 1000] [-ports 20000-20999] [-sockets 8192] [-at-once 256] tcp://ADDRESS|udp://ADDRESS
//
// makes so many new connections a second to these ports in turns, until it is
// told to end, and prints as JSON how many it asked and how many were answered.
// Over TCP a connection is made, asks, is answered and closed, and no more than
// -at-once are there at the same time. Over UDP each of the -sockets has a source
// port and asks each of the ports once, before any asks one again. When it falls
// behind it makes up for it as soon as it can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	self := os.Getenv("POD_NAMESPACE") + "/" + os.Getenv("POD_NAME")
	if err := dispatch(ctx, os.Args[1:], self, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string, self string, out io.Writer) error {
	if len(args) > 0 && (args[0] == "answer" || args[0] == "load") {
		return runMany(ctx, args, out)
	}
	return run(ctx, args, report.NewWriter(out, self))
}

func run(ctx context.Context, args []string, w *report.Writer) error {
	if len(args) == 0 {
		return errors.New("usage: workload server|client|answer|load [options] [URL...]")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	tcp := flags.String("tcp", ":8080", "where to serve HTTP")
	udp := flags.String("udp", ":8080", "where to answer datagrams")
	timeout := flags.Duration("timeout", callTimeout, "how long a call may take")
	atOnce := flags.Bool("at-once", false, "call all URLs at once")
	from := flags.Uint("from", 0, "port to call the first URL from")
	interval := flags.Duration("interval", time.Second, "time between calls")
	count := flags.Int("count", 0, "how many rounds of calls, 0 for no end")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var targets []*url.URL
	for _, arg := range flags.Args() {
		u, err := url.Parse(arg)
		if err != nil {
			return err
		}
		if u.Port() == "" || u.Scheme != "http" && u.Scheme != "udp" {
			return fmt.Errorf("target %q: want http://HOST:PORT or udp://HOST:PORT", arg)
		}
		targets = append(targets, u)
	}
	if *from+uint(len(targets)) > math.MaxUint16 {
		return fmt.Errorf("-from %d: want a port with as many above it as there are URLs", *from)
	}
	c := &caller{report: w, targets: targets, timeout: *timeout, atOnce: *atOnce, from: uint16(*from)}
	switch args[0] {
	case "server":
		return serve(ctx, w, c, strings.Split(*tcp, ","), strings.Split(*udp, ","))
	case "client":
		return c.repeat(ctx, *interval, *count)
	default:
		return fmt.Errorf("role %q: want server, client, answer or load", args[0])
	}
}

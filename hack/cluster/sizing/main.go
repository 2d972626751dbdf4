// Command sizing measures what an agent takes of a node in a real cluster, at rates
// of new connections between the pods of two nodes. It installs the chart as it is,
// but for Hubble UI, whose images are in a registry. It needs what package cluster
// does, and root.
//
//	go run ./hack/cluster/sizing [-runs 3] [-levels idle,tcp:1000,...] [-warm 12s] [-time 15s] [-write docs/sizing.md]
//
// It prints one JSON object a line, of each figure the median of all runs and its
// bounds: {"name", "value", "unit", "least", "most"}. With -write it also writes them
// as a table between two marks of that file.
//
// A run has new agents, and takes the levels one after the other: each lasts for the
// time, once it has lasted for the warm one. A level is a protocol and a rate; with
// -near, as udp-near:50000, both pods are on one node, whose agent sees both ends.
// Where the agents of the two nodes differ, the figure is the larger, and of what is
// counted the sum.
//
//	rate       connections that arrived in a second
//	flows      flows that the agent told in a second
//	cpu        cores that the agent's process used, its kernel's side too
//	programs   cores that its BPF programs used of whoever's packets they were run
//	           for; what goes over the connections is the process's own, and not here.
//	           The kernel's clock adds to what it measures, so that is done on its own,
//	           for another third of the time
//	held       part of the history that had flows in it at the end: 1 for all
//	rss        memory that was resident at the end, and
//	rss_peak   the most of it
//	memory     what the kernel charged the container with at the end: that, and what is
//	           in the kernel, as maps; without what is only a copy of files
//	lost       events that the agent told as lost
//	untracked  packets that were told one by one, for want of room for a connection
//	busy       cores of the machine that were not idle
//
// It fails after all that if a rate was not reached within a tenth. A rate of 0 is as
// many as there come to be, and reaches itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// defaultLevels begin with what leaves an agent's history, and its table of
// connections, empty.
const defaultLevels = "idle,tcp:1000,tcp:0,udp:1000,udp:10000,udp-near:50000"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sizing:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	runs       int
	levels     []level
	warm, time time.Duration
	write      string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("sizing", flag.ContinueOnError)
	flags.IntVar(&o.runs, "runs", 3, "how many times each level is measured")
	levels := flags.String("levels", defaultLevels, "idle, and PROTOCOL:RATE or PROTOCOL-near:RATE, in this order")
	flags.DurationVar(&o.warm, "warm", 12*time.Second, "how long a level lasts before it is measured")
	flags.DurationVar(&o.time, "time", 15*time.Second, "how long it is measured")
	flags.StringVar(&o.write, "write", "", "file to write the table into")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.runs < 1 || o.warm < 0 || o.time <= 0 || flags.NArg() > 0 {
		return o, fmt.Errorf("-runs %d, -warm %v, -time %v, %q: want 1 or more, 0s or more, more than 0s, and no more",
			o.runs, o.warm, o.time, flags.Args())
	}
	o.levels, err = parseLevels(*levels)
	return o, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: for BPF, network namespaces and containers")
	}
	all, err := measureAll(ctx, o)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	for _, r := range all {
		for _, f := range r.figures() {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
	}
	var missed []error
	for _, r := range all {
		missed = append(missed, r.reached())
	}
	if o.write != "" {
		missed = append(missed, writeTable(o.write, all))
	}
	return errors.Join(missed...)
}

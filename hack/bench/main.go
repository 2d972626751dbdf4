// Command bench measures what the project promises and prints one JSON object
// a line: {"name", "value", "unit", "baseline", "baseline_value", "ratio"}.
// Machines are noisy: value and baseline are measured in turn, in the same run,
// and the ratio is the median of the turns' ratios. It needs root, and builds
// Hubble's own server and relay once, to compare with.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

// result is a line of the output. Baseline is what the value is compared with:
// a bound where nothing was measured beside it.
type result struct {
	Name          string  `json:"name"`
	Value         float64 `json:"value"`
	Unit          string  `json:"unit"`
	Baseline      string  `json:"baseline"`
	BaselineValue float64 `json:"baseline_value"`
	Ratio         float64 `json:"ratio"`
}

// benchmark is one or more results that are measured together.
type benchmark struct {
	name string
	run  func(ctx context.Context, dir string) ([]result, error)
}

var benchmarks = [...]benchmark{
	{"datapath", benchDatapath},
	{"ingest", benchIngest},
	{"ring.loss", benchRing},
	{"ingest_under_query", benchIngestUnderQuery},
	{"append", benchAppend},
	{"history.bytes_per_flow", benchBytesPerFlow},
	{"query", benchQuery},
	{"stream", benchStream},
	{"relay.cpu", benchRelay},
	{"relay.follow", benchRelayFollow},
	{"relay.hang", benchRelayHang},
	{"relay.peers", benchRelayPeers},
	{"datapath.throughput", benchThroughput},
	{"agent.rss", benchRSS},
	{"kube", benchKube},
	{"lookup", benchLookup},
	{"nat.cost", benchNAT},
	{"drops.storm", benchStorm},
	{"policy", benchPolicy},
}

func main() {
	only := flag.String("run", "", "only the benchmarks whose name matches this regular expression")
	flag.Parse()
	if flag.Arg(0) == childArgument {
		if err := runChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench, as a child:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, out io.Writer) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: for BPF and network namespaces")
	}
	dir, err := os.MkdirTemp("", "fovea-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program(dir), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build fovea: %w\n%s", err, text)
	}
	enc := json.NewEncoder(out)
	var errs []error
	for _, b := range benchmarks {
		if !match.MatchString(b.name) {
			continue
		}
		results, err := b.run(ctx, dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", b.name, err))
		}
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

func program(dir string) string { return filepath.Join(dir, "fovea") }

// inTurns measures value and baseline, each first in every other turn, so that a
// machine that gets faster or slower helps neither.
func inTurns(turns int, value, baseline func() (float64, error)) (values, baselines []float64, err error) {
	for turn := range turns {
		first, second := value, baseline
		if turn%2 == 1 {
			first, second = second, first
		}
		a, err := first()
		if err != nil {
			return nil, nil, err
		}
		b, err := second()
		if err != nil {
			return nil, nil, err
		}
		if turn%2 == 1 {
			a, b = b, a
		}
		values, baselines = append(values, a), append(baselines, b)
	}
	return values, baselines, nil
}

// median of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// compared makes the result of turns in which value and baseline were measured
// one after the other.
func compared(name, unit, baseline string, values, baselines []float64) result {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / baselines[i]
	}
	return result{name, median(values), unit, baseline, median(baselines), median(ratios)}
}

// bounded makes the result of what is held against a fixed bound.
func bounded(name, unit string, value, bound float64) result {
	return result{name, value, unit, "bound", bound, value / bound}
}

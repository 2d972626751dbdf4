package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/stock"
)

// upstreamFlows fill Hubble's largest ring: it has a slot more than can be read.
const upstreamFlows = 65536

// startUpstream starts Hubble's server over a ring that has the oldest flows of
// a server of ours, and returns how many can be read of it.
func startUpstream(ctx context.Context, dir string, ours observerpb.ObserverClient) (*child.Child, uint64, error) {
	program, err := stock.Upstream(ctx)
	if err != nil {
		return nil, 0, err
	}
	path := filepath.Join(dir, "flows")
	// It is needed for as long as it is read.
	defer os.Remove(path)
	if err := writeFlows(ctx, path, ours); err != nil {
		return nil, 0, fmt.Errorf("write flows for upstream: %w", err)
	}
	c, err := child.Start(exec.CommandContext(ctx, program))
	if err != nil {
		return nil, 0, err
	}
	a, err := c.Do(child.Command{Do: "load", Path: path})
	if err != nil {
		return nil, 0, errors.Join(err, c.Stop())
	}
	if a.Flows != upstreamFlows-1 {
		err := fmt.Errorf("upstream holds %d flows of %d", a.Flows, upstreamFlows)
		return nil, 0, errors.Join(err, c.Stop())
	}
	return c, a.Flows, nil
}

func writeFlows(ctx context.Context, path string, ours observerpb.ObserverClient) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriter(file)
	stream, err := ours.GetFlows(ctx, &observerpb.GetFlowsRequest{First: true, Number: upstreamFlows})
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		if f := r.GetFlow(); f != nil {
			if _, err := protodelim.MarshalTo(out, f); err != nil {
				return err
			}
		}
	}
}

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/bench/child"
	"github.com/fovea-obs/fovea/hack/stock"
)

// hubbleServer is Hubble's own server, over flows that it is given: a node's that has no
// agent of ours.
type hubbleServer struct {
	*child.Child
	name, address string
	client        observerpb.ObserverClient
}

func startHubbleServer(t *testing.T, name string) *hubbleServer {
	t.Helper()
	program, err := stock.Upstream(t.Context())
	check(t, err)
	c, err := child.Start(exec.Command(program))
	check(t, err)
	closeLater(t, c.Stop)
	a, err := c.Do(child.Command{Do: "listen"})
	check(t, err)
	conn, err := grpc.NewClient(a.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	closeLater(t, conn.Close)
	return &hubbleServer{c, name, a.Address, observerpb.NewObserverClient(conn)}
}

// load adds flows.
func (h *hubbleServer) load(t *testing.T, flows []*flowpb.Flow) {
	t.Helper()
	var b bytes.Buffer
	for _, f := range flows {
		_, err := protodelim.MarshalTo(&b, f)
		check(t, err)
	}
	path := filepath.Join(t.TempDir(), "flows")
	check(t, os.WriteFile(path, b.Bytes(), 0o600))
	_, err := h.Do(child.Command{Do: "load", Path: path})
	check(t, err)
}

// flow is a copy of a flow as this server's node would tell it.
func (h *hubbleServer) flow(of *flowpb.Flow, at time.Time) *flowpb.Flow {
	f := proto.CloneOf(of)
	f.NodeName, f.Time, f.Uuid = h.name, timestamppb.New(at), fmt.Sprintf("%s-%d", h.name, at.UnixNano())
	return f
}

// spread are copies of a node's flows at random times of an interval, none of which is
// taken yet, in order.
func (h *hubbleServer) spread(r *rand.Rand, of []*observerpb.GetFlowsResponse, count int, from, to time.Time, taken map[int64]bool) []*flowpb.Flow {
	var times []int64
	for len(times) < count {
		at := from.UnixNano() + r.Int64N(int64(to.Sub(from)))
		if !taken[at] {
			taken[at] = true
			times = append(times, at)
		}
	}
	slices.Sort(times)
	flows := make([]*flowpb.Flow, 0, count)
	for _, at := range times {
		flows = append(flows, h.flow(of[r.IntN(len(of))].GetFlow(), time.Unix(0, at)))
	}
	return flows
}

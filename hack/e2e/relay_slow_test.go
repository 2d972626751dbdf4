package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/lab"
)

const (
	// floodPort is where each member's pod sends floodFlows datagrams, each from another
	// port.
	floodPort  = 7008
	floodFlows = 2500
	// slowReaders is how many clients do not read, and slowReader what each may cost the
	// relay in bytes: of each of three nodes some 600 KiB, which are what a relay holds
	// itself and the 256 KiB that the node may send before that is taken, and as much
	// garbage.
	slowReaders = 16
	slowReader  = 4 << 20
)

// flooded asks for the flows of the flood up to a time.
func flooded(until time.Time) *observerpb.GetFlowsRequest {
	return &observerpb.GetFlowsRequest{Until: timestamppb.New(until), Whitelist: []*flowpb.FlowFilter{
		{Protocol: []string{"udp"}, DestinationPort: []string{fmt.Sprint(floodPort)}},
	}}
}

// testSlowReaders has clients ask for all that there is and not read it.
func testSlowReaders(t *testing.T, c *cluster) {
	v := c.follow(t)
	for _, m := range c.members {
		pods := m.Pods()
		sink, err := lab.ServeUDPSink(pods[1].NS, fmt.Sprintf(":%d", floodPort))
		check(t, err)
		closeLater(t, sink.Close)
		for range floodFlows {
			check(t, sendOne(pods[0], netip.AddrPortFrom(pods[1].IPv4, floodPort)))
		}
	}
	until, want := time.Now(), 0
	for _, m := range c.members {
		v.awaitLater(t, m, until)
		has, _ := all(t, m.agent.Client, flooded(until))
		// Some ports are used twice, which is one connection.
		if len(has) < floodFlows*2*9/10 {
			t.Fatalf("%s itself tells %d flows", m.Name, len(has))
		}
		want += len(has)
	}
	size := 0
	read := func() (number int, took time.Duration) {
		begun := time.Now()
		stream, err := c.relay.Client.GetFlows(testContext(t), flooded(until))
		check(t, err)
		number, size = readAll(t, stream)
		return number, time.Since(begun)
	}
	number, took := read()
	if number != want {
		t.Fatalf("%d flows, want %d", number, want)
	}
	before := memory(t, c.relay.PID())
	t.Logf("%d flows of %d MiB read in %v, after which the relay has had %d MiB at most",
		number, size>>20, took.Round(time.Millisecond), before>>20)

	begun := time.Now()
	var slow grpc.ServerStreamingClient[observerpb.GetFlowsResponse]
	for range slowReaders {
		conn, err := grpc.NewClient("unix://"+c.relay.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(t, err)
		closeLater(t, conn.Close)
		slow, err = observerpb.NewObserverClient(conn).GetFlows(testContext(t), flooded(until))
		check(t, err)
		_, err = slow.Header()
		check(t, err)
	}
	for range 2 {
		if again, took := read(); again != want {
			t.Errorf("beside clients that do not read another got %d flows, want %d", again, want)
		} else {
			t.Logf("beside %d clients that do not read they are read in %v", slowReaders, took.Round(time.Millisecond))
		}
	}
	if cost := memory(t, c.relay.PID()) - before; cost > slowReaders*slowReader {
		t.Errorf("%d clients that do not read cost %d MiB", slowReaders, cost>>20)
	} else {
		t.Logf("they cost %d MiB, of %d MiB that they ask for", cost>>20, slowReaders*size>>20)
	}
	v.holds(t, begun, "", c.members)
	// One reads after all.
	if last, _ := readAll(t, slow); last != want {
		t.Errorf("who read late got %d flows, want %d", last, want)
	}
}

// readAll reads a stream to its end, and counts the flows and their bytes.
func readAll(t *testing.T, stream grpc.ServerStreamingClient[observerpb.GetFlowsResponse]) (flows, size int) {
	t.Helper()
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return flows, size
		}
		check(t, err)
		if f := r.GetFlow(); f != nil {
			flows++
			size += proto.Size(r)
		}
	}
}

// memory is the most that a process has had so far, in bytes.
func memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	kb, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.Atoi(string(kb))
	check(t, err)
	return n << 10
}

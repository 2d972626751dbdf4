package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

// noMessage is no message of protobuf: a field that is longer than what is there.
const noMessage = "\x0a\x7fabc"

// testRubbish has peers that are no agents, or do not talk as such. Each is told of, with
// a reason, and costs the others nothing.
func testRubbish(t *testing.T, c *cluster) {
	v := c.follow(t)
	for _, peer := range []struct {
		name string
		// address serves, until the test ends.
		address func(*testing.T) string
	}{
		{"noise", func(t *testing.T) string { return c.talkAt(t, "tcp", speakNoise) }},
		{"noise-plain", func(t *testing.T) string { return c.talkAt(t, "unix", speakNoise) }},
		{"mute", func(t *testing.T) string { return c.talkAt(t, "tcp", speakNothing) }},
		{"mute-plain", func(t *testing.T) string { return c.talkAt(t, "unix", speakNothing) }},
		{"no-batch", func(t *testing.T) string { return sendAlways(t, true, []byte(noMessage)) }},
		{"cut-batch", func(t *testing.T) string { return sendAlways(t, true, batchOf(t, []byte("cut"), 70)) }},
		{"no-response", func(t *testing.T) string { return sendAlways(t, true, batchOf(t, []byte(noMessage), len(noMessage))) }},
		{"no-flow", func(t *testing.T) string { return sendAlways(t, true, batchOf(t, noFlow(t), len(noFlow(t)))) }},
		{"no-response-hubble", func(t *testing.T) string { return sendAlways(t, false, []byte(noMessage)) }},
	} {
		t.Run(peer.name, func(t *testing.T) {
			address := peer.address(t)
			begun := time.Now()
			c.roster.join(peer.name, address, "")
			t.Cleanup(func() { c.roster.leave(peer.name) })
			told := v.awaitTold(t, peer.name, begun, failed()...)
			t.Logf("told as %v after %v: %q", told.state, told.came.Sub(begun).Round(time.Millisecond), told.why)
			if told.why == "" || told.came.Sub(begun) > isolation+scheduling {
				t.Errorf("told %+v, %v after it joined", told, told.came.Sub(begun))
			}
			c.answers(t, peer.name)
			v.holds(t, begun, peer.name, c.members)
		})
		v.awaitTold(t, peer.name, time.Time{}, relaypb.NodeState_NODE_GONE)
	}
}

// talkAt takes connections, with speak for each, until the test ends.
func (c *cluster) talkAt(t *testing.T, network string, speak func(net.Conn)) (address string) {
	t.Helper()
	at, prefix := "127.0.0.1:0", ""
	if network == "unix" {
		at, prefix = filepath.Join(t.TempDir(), "peer.sock"), "unix://"
	}
	l, err := c.at.NS.Listen(t.Context(), network, at)
	check(t, err)
	acceptUntilEnd(t, l, speak)
	return prefix + l.Addr().String()
}

// speakNothing has whoever connected wait.
func speakNothing(net.Conn) {}

// speakNoise sends bytes that are nothing, the same in each run.
func speakNoise(conn net.Conn) {
	noise := make([]byte, 4096)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	// Whoever hears it may go in the midst of it.
	_, _ = conn.Write(noise)
}

// sender answers each request for flows with the same message.
type sender struct {
	foveapb.UnimplementedBatchesServer
	message []byte
}

// GetFlows implements [foveapb.BatchesServer].
func (s sender) GetFlows(_ *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[foveapb.Batch]) error {
	return s.send(stream)
}

func (s sender) send(stream grpc.ServerStream) error {
	if err := stream.SendMsg(&rpc.Wire{Bytes: s.message}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// plainSender is one that has no batches.
type plainSender struct {
	observerpb.UnimplementedObserverServer
	sender sender
}

// GetFlows implements [observerpb.ObserverServer].
func (s plainSender) GetFlows(_ *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	return s.sender.send(stream)
}

// sendAlways serves a sender until the test ends.
func sendAlways(t *testing.T, batches bool, message []byte) (address string) {
	t.Helper()
	s := rpc.New(rpc.Config{Log: slog.New(slog.DiscardHandler)})
	if batches {
		foveapb.RegisterBatchesServer(s, sender{message: message})
	} else {
		observerpb.RegisterObserverServer(s, plainSender{sender: sender{message: message}})
	}
	address = fmt.Sprintf("unix://%s/sender.sock", t.TempDir())
	l, err := rpc.Listen(t.Context(), address)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	closeLater(t, func() error {
		cancel()
		return <-done
	})
	return address
}

// noFlow is a response whose flow is no message.
func noFlow(t *testing.T) []byte {
	t.Helper()
	m, err := proto.Marshal(&observerpb.GetFlowsResponse{NodeName: "no-flow"})
	check(t, err)
	m = protowire.AppendTag(m, 1, protowire.BytesType) // flow
	return protowire.AppendBytes(m, []byte(noMessage))
}

// batchOf is a batch of one response, which is said to be of a size.
func batchOf(t *testing.T, response []byte, size int) []byte {
	t.Helper()
	m, err := proto.Marshal(&foveapb.Batch{
		Responses: response, Sizes: []uint32{uint32(size)}, Times: []int64{time.Now().UnixNano()}, Watermark: time.Now().UnixNano(),
	})
	check(t, err)
	return m
}

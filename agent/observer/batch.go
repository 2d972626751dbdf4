package observer

import (
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fovea-obs/fovea/internal/rpc"
	foveapb "github.com/fovea-obs/fovea/proto/v1"
)

const (
	// beatEvery is how long a stream of batches that follows is silent at most.
	beatEvery = 100 * time.Millisecond
	// settled is how long after it was seen a packet is in the history at the latest:
	// the ring is read within milliseconds, and the kernel is asked a few times for
	// who is behind a translation.
	settled = 50 * time.Millisecond
)

// Batches returns the service by which relays of ours ask.
func (s *Server) Batches() foveapb.BatchesServer { return batches{s: s} }

type batches struct {
	foveapb.UnimplementedBatchesServer
	s *Server
}

// GetFlows implements [foveapb.BatchesServer].
func (b batches) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[foveapb.Batch]) error {
	f, err := b.s.newFlowStream(stream.Context(), req)
	if err != nil {
		return err
	}
	f.beats = &batchSender{stream: stream}
	f.to = f.beats
	// Who asks hears at once that there is somebody, also where the answer takes long.
	if err := f.beats.beat(0); err != nil {
		return err
	}
	return b.s.serveFlows(stream.Context(), f)
}

// batchSender sends responses as messages foveapb.Batch, which it encodes itself.
type batchSender struct {
	stream  grpc.ServerStream
	sent    time.Time
	message rpc.Wire
	scratch []byte
}

// The numbers of the fields of foveapb.Batch.
const (
	batchResponses = 1
	batchSizes     = 2
	batchTimes     = 3
	batchWatermark = 4
)

func (b *batchSender) send(responses []byte, ends []int, times []int64) error {
	m := appendField(b.message.Bytes[:0], batchResponses, responses)
	begin := 0
	b.scratch = b.scratch[:0]
	for _, end := range ends {
		b.scratch = protowire.AppendVarint(b.scratch, uint64(end-begin))
		begin = end
	}
	m = appendField(m, batchSizes, b.scratch)
	before := int64(0)
	b.scratch = b.scratch[:0]
	for _, t := range times {
		b.scratch = protowire.AppendVarint(b.scratch, protowire.EncodeZigZag(t-before))
		before = t
	}
	return b.put(appendField(m, batchTimes, b.scratch))
}

func appendField(m []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), value)
}

// beat sends a watermark.
func (b *batchSender) beat(mark int64) error {
	m := protowire.AppendTag(b.message.Bytes[:0], batchWatermark, protowire.VarintType)
	return b.put(protowire.AppendVarint(m, uint64(mark)))
}

func (b *batchSender) put(message []byte) error {
	b.message.Bytes, b.sent = message, time.Now()
	return b.stream.SendMsg(&b.message)
}

// isDue tells whether there is a beat to send. Nobody wants one if b is nil.
func (b *batchSender) isDue() bool { return b != nil && time.Since(b.sent) >= beatEvery }

// due is when there is one: never if b is nil.
func (b *batchSender) due() <-chan time.Time {
	if b == nil {
		return nil
	}
	return time.After(beatEvery - time.Since(b.sent))
}

package observer_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// write appends flows, as a batch of ingest's after the other.
func write(h *history.History, n int) {
	const batch = 64
	for i := range n {
		h.Append(&history.Record{
			Kind: history.KindTrace, Protocol: 6, Verdict: 1, SrcPort: uint16(i), DstPort: 80,
			Src: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 1}, Dst: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 2},
		})
		if i%batch == batch-1 || i == n-1 {
			h.Notify()
		}
	}
}

// newHistory returns the smallest, and how many records it has room for.
func newHistory(t *testing.T) (h *history.History, room int) {
	t.Helper()
	h, err := history.New(history.MinSize)
	if err != nil {
		t.Fatal(err)
	}
	return h, int(h.Capacity()) + history.ChunkSize
}

// TestSlowClient has a client that does not read while the writer, which nobody
// holds up, goes round the ring many times. It then is told of each flow that it
// was, or was not, sent.
func TestSlowClient(t *testing.T) {
	h, room := newHistory(t)
	client, _ := dial(t, h)
	stream, err := client.GetFlows(t.Context(), &observerpb.GetFlowsRequest{Follow: true, Number: 1})
	if err != nil {
		t.Fatal(err)
	}
	write(h, 1)
	next, losses, lost := uint64(0), 0, uint64(0)
	read := func() {
		t.Helper()
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if l := r.GetLostEvents(); l != nil {
			if l.GetSource() != flowpb.LostEventSource_HUBBLE_RING_BUFFER {
				t.Fatalf("got %v", r)
			}
			next += l.GetNumEventsLost()
			lost += l.GetNumEventsLost()
			losses++
			return
		}
		if _, seq, ok := lookup.ParseUUID(r.GetFlow().GetUuid()); !ok || seq != next {
			t.Fatalf("got flow %d, want %d: %v", seq, next, r)
		}
		next++
	}
	read()
	for _, rounds := range []int{20, 3} {
		write(h, rounds*room)
		for next < h.Next() {
			read()
		}
	}
	if lost < uint64(10*room) || losses < 2 {
		t.Errorf("only %d flows were lost, told in %d messages", lost, losses)
	}
	t.Logf("%d flows written, %d lost, told in %d messages", next, lost, losses)
}

// TestStalledStreams has many streams whose clients do not take what they are
// sent. What each costs the server is bounded, however much is written.
func TestStalledStreams(t *testing.T) {
	const streams, rounds, most = 100, 20, 256 << 10
	h, room := newHistory(t)
	write(h, 2*room)
	address, stop := serve(t, h)
	conn := newStalled(t, address)
	conn.open(t)
	conn.awaitFull(t, 1)
	before := memory()
	for range streams {
		conn.open(t)
	}
	conn.awaitFull(t, streams)
	write(h, rounds*room)
	each := (memory() - before) / streams
	t.Logf("%d KiB for each stream", each>>10)
	if each > most {
		t.Errorf("%d bytes for each stream, want at most %d", each, most)
	}
	stop()
}

// memory is what is in use, the chunks of the history included.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // sync.Pool keeps things through one.
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// stalled is a connection whose streams follow flows. It never gives them more
// room than there is at the start, as a client does that does not read.
type stalled struct {
	framer *http2.Framer
	next   uint32
	// full gets a value for each stream that has no room any more.
	full chan struct{}
}

// window is what HTTP/2 gives each stream at first.
const window = 65535

func newStalled(t *testing.T, address string) *stalled {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(address, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	s := &stalled{framer: http2.NewFramer(conn, conn), next: 1, full: make(chan struct{}, 1024)}
	done := make(chan struct{})
	go s.take(done)
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	check(t, s.framer.WriteSettings())
	// The connection has room for all.
	check(t, s.framer.WriteWindowUpdate(0, 1<<30))
	return s
}

// take takes what comes until the connection is closed.
func (s *stalled) take(done chan<- struct{}) {
	defer close(done)
	room := map[uint32]uint32{}
	for {
		f, err := s.framer.ReadFrame()
		if err != nil {
			return
		}
		if f.Header().Type != http2.FrameData {
			continue
		}
		id := f.Header().StreamID
		if room[id] += f.Header().Length; room[id] == window {
			s.full <- struct{}{}
		}
	}
}

// open begins a call that follows flows from the oldest on.
func (s *stalled) open(t *testing.T) {
	t.Helper()
	var block bytes.Buffer
	headers := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", observerpb.Observer_GetFlows_FullMethodName},
		{":authority", "localhost"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
	} {
		check(t, headers.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
	}
	message, err := proto.Marshal(&observerpb.GetFlowsRequest{Follow: true, Number: 1 << 20})
	check(t, err)
	id := s.next
	s.next += 2
	check(t, s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true}))
	// Not compressed, and its length.
	prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	check(t, s.framer.WriteData(id, true, append(prefix, message...)))
}

// awaitFull waits until so many more streams have no room.
func (s *stalled) awaitFull(t *testing.T, streams int) {
	t.Helper()
	for range streams {
		select {
		case <-s.full:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

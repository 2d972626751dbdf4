package rpc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// wireNames are of all sizes around those of chunks and frames, and enough to
// use chunks again.
func wireNames() []string {
	var out []string
	for i := range 2000 {
		out = append(out, fmt.Sprint(i, strings.Repeat("x", i%900)))
	}
	for _, n := range []int{0, chunkSize/4 - 5, chunkSize / 4, chunkSize, 3 * chunkSize, 100_000} {
		out = append(out, strings.Repeat("y", n))
	}
	return out
}

// TestWire sends each message as a Wire and then as itself, with the same bytes
// for every Wire.
func TestWire(t *testing.T) {
	names := wireNames()
	conns, stop := serve(t, Config{}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			var w Wire
			for _, name := range names {
				m := &peerpb.ChangeNotification{Name: name}
				var err error
				if w.Bytes, err = (proto.MarshalOptions{}).MarshalAppend(w.Bytes[:0], m); err != nil {
					return err
				}
				if err := s.SendMsg(&w); err != nil {
					return err
				}
				clear(w.Bytes)
				if err := s.Send(m); err != nil {
					return err
				}
			}
			return nil
		},
	})
	for _, conn := range conns {
		stream := notify(t, conn)
		for i, name := range names {
			for _, how := range []string{"as a Wire", "as itself"} {
				m, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if m.GetName() != name {
					t.Fatalf("%s: message %d %s is %.20q, want %.20q", conn.Target(), i, how, m.GetName(), name)
				}
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestWireOfStreams has two streams that share the chunks, of which one stops
// reading for a while.
func TestWireOfStreams(t *testing.T) {
	const messages = 5000
	conns, stop := serve(t, Config{}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
			var w Wire
			for i := range messages {
				m := &peerpb.ChangeNotification{Name: strings.Repeat(fmt.Sprint(i%10), 500)}
				var err error
				if w.Bytes, err = (proto.MarshalOptions{}).MarshalAppend(w.Bytes[:0], m); err != nil {
					return err
				}
				if err := s.SendMsg(&w); err != nil {
					return err
				}
			}
			return nil
		},
	})
	read := func(s grpc.ServerStreamingClient[peerpb.ChangeNotification]) {
		t.Helper()
		for i := range messages {
			m, err := s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if m.GetName() != strings.Repeat(fmt.Sprint(i%10), 500) {
				t.Fatalf("message %d is %.20q", i, m.GetName())
			}
		}
	}
	slow := notify(t, conns[0])
	read(notify(t, conns[0]))
	read(notify(t, conns[1]))
	read(slow)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestWireIsNotReceived refuses what only goes out.
func TestWireIsNotReceived(t *testing.T) {
	if err := newCodec().Unmarshal(mem.BufferSlice{}, &Wire{}); err == nil {
		t.Error("a Wire was received")
	}
}

// TestNoMessage fails the call, as with any server.
func TestNoMessage(t *testing.T) {
	conns, stop := serve(t, Config{}, &peers{
		notify: func(s grpc.ServerStreamingServer[peerpb.ChangeNotification]) error { return s.SendMsg("text") },
	})
	if _, err := notify(t, conns[0]).Recv(); status.Code(err) != codes.Internal {
		t.Errorf("got %v, want Internal", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestWireCopies once for a stream's messages, not for each.
func TestWireCopies(t *testing.T) {
	c, w := newCodec(), &Wire{Bytes: make([]byte, 500)}
	n := testing.AllocsPerRun(1000, func() {
		data, err := c.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		data.Free()
	})
	// The list of buffers is one, and a chunk now and then.
	if n > 1 {
		t.Errorf("%v allocations for a message", n)
	}
}

// TestRawKeeps what was received before, of any size, until it is given back.
func TestRawKeeps(t *testing.T) {
	c, r := RawCodec(), &Raw{}
	receive := func(i, size int) []byte {
		t.Helper()
		if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(bytes.Repeat([]byte{byte(i)}, size))}, r); err != nil {
			t.Fatal(err)
		}
		return r.Bytes
	}
	sizes := []int{0, 1, 500, chunkSize / 4, chunkSize, chunkSize, largeSize, largeSize + 1, 500, chunkSize}
	var got [][]byte
	for i, size := range sizes {
		got = append(got, receive(i, size))
	}
	for i, size := range sizes {
		if !bytes.Equal(got[i], bytes.Repeat([]byte{byte(i)}, size)) {
			t.Errorf("message %d, of %d bytes, is another now", i, size)
		}
	}
}

// TestRawAllocates little: small messages share memory, and that of large ones is used
// again.
func TestRawAllocates(t *testing.T) {
	c := RawCodec()
	for _, size := range []int{500, chunkSize} {
		r, data := &Raw{}, mem.BufferSlice{mem.SliceBuffer(make([]byte, size))}
		n := testing.AllocsPerRun(1000, func() {
			if err := c.Unmarshal(data, r); err != nil {
				t.Fatal(err)
			}
			if release := r.Release(); release != nil {
				release()
			}
		})
		// That of what gives it back.
		if n > 1 {
			t.Errorf("%v allocations for a message of %d bytes", n, size)
		}
	}
}

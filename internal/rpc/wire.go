package rpc

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// chunkSize is how much memory messages share. gRPC keeps at most 64 KiB of a
// stream's messages and lets SendMsg wait then, so that a stream to a client
// that does not read holds six chunks at most.
const chunkSize = 16 << 10

// Wire is a message in the form that goes over the wire. A handler gives a *Wire
// to SendMsg in place of a message. Bytes are copied: once SendMsg has returned,
// the caller may use them again, for the next message.
//
// A Wire is for one stream. It packs what is sent into chunks of memory, which
// are used again when all that is in them was sent. Its zero value is ready.
type Wire struct {
	Bytes []byte

	// chunk holds the messages that were sent last, up to used.
	chunk mem.Buffer
	data  []byte
	used  int
}

// marshal returns a copy of the message.
func (w *Wire) marshal(chunks *chunkPool) mem.BufferSlice {
	n := len(w.Bytes)
	if n > chunkSize/4 {
		return mem.BufferSlice{mem.Copy(w.Bytes, mem.DefaultBufferPool())}
	}
	if w.chunk == nil || n > len(w.data)-w.used {
		if w.chunk != nil {
			w.chunk.Free()
		}
		b := chunks.Get(chunkSize)
		w.chunk, w.data, w.used = mem.NewBuffer(b, chunks), *b, 0
	}
	start := w.used
	w.used += copy(w.data[start:], w.Bytes)
	return mem.BufferSlice{w.chunk.Slice(start, w.used)}
}

// chunkPool is a [mem.BufferPool] of chunks.
type chunkPool struct{ free sync.Pool }

// Get returns a chunk, whatever is asked for.
func (p *chunkPool) Get(int) *[]byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, chunkSize)
	return &b
}

// Put takes a chunk back.
func (p *chunkPool) Put(b *[]byte) { p.free.Put(b) }

// codec sends a Wire as it is, and leaves all else to the codec of gRPC.
type codec struct {
	encoding.CodecV2
	chunks *chunkPool
}

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name), &chunkPool{}} }

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if w, ok := v.(*Wire); ok {
		return w.marshal(c.chunks), nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if _, ok := v.(*Wire); ok {
		return fmt.Errorf("a %T is only sent", v)
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Raw is a message as it came over the wire. A client receives into a *Raw in place of
// a message if it calls with [RawCodec].
//
// A Raw is for one stream, message after message: small ones are in chunks of memory,
// each of which stays for as long as any of its messages. Its zero value is ready.
type Raw struct {
	// Bytes are the receiver's.
	Bytes []byte

	// chunk has room for messages to come.
	chunk []byte
	// spent is the memory of a large message, of large.
	spent *[]byte
	large *sync.Pool
}

// largeSize is how much memory a large message has, if that is enough.
const largeSize = 64 << 10

func (r *Raw) unmarshal(data mem.BufferSlice, large *sync.Pool) {
	n := data.Len()
	r.spent, r.large = nil, large
	if n > largeSize {
		r.Bytes = data.Materialize()
		return
	}
	if n > chunkSize/4 {
		b, ok := large.Get().(*[]byte)
		if !ok {
			made := make([]byte, largeSize)
			b = &made
		}
		r.Bytes, r.spent = (*b)[:n:n], b
		data.CopyTo(r.Bytes)
		return
	}
	if n > len(r.chunk) {
		r.chunk = make([]byte, chunkSize)
	}
	r.Bytes, r.chunk = r.chunk[:n:n], r.chunk[n:]
	data.CopyTo(r.Bytes)
}

// Release returns what gives the memory of the message back for another, to be called
// when nobody looks at it any more, or never. It is nil if that is of no use.
func (r *Raw) Release() func() {
	if r.spent == nil {
		return nil
	}
	b, large := r.spent, r.large
	return func() { large.Put(b) }
}

// RawCodec is a codec for clients that receive a [Raw]; all else it leaves to the codec
// of gRPC. Those who share one use each other's memory again.
func RawCodec() encoding.CodecV2 { return rawCodec{encoding.GetCodecV2(proto.Name), &sync.Pool{}} }

type rawCodec struct {
	encoding.CodecV2
	// large has memory of large messages that was given back.
	large *sync.Pool
}

// Unmarshal implements [encoding.CodecV2].
func (c rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*Raw); ok {
		r.unmarshal(data, c.large)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

package rpc

import (
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Piece is a message, or a part of one, as it came over the wire, in memory that others
// have parts of. Whoever has it sends it on, to which it is given to SendMsg as a *Piece in
// place of a message, or calls Free; once, and it is gone then. If nobody does, the memory
// is not used again, and left to the garbage collector.
type Piece struct {
	memory mem.Buffer
	// Messages are of less than 4 GiB.
	start, end uint32
	// ends tells that nothing of the memory is needed after it.
	ends bool
}

// NewPiece is a message of these bytes, which are its from now on.
func NewPiece(message []byte) Piece {
	return Piece{memory: mem.SliceBuffer(message), end: uint32(len(message)), ends: true}
}

// Len is how long it is.
func (p *Piece) Len() int { return int(p.end - p.start) }

// Bytes are the message, for as long as it is not gone. They are not to be changed.
func (p *Piece) Bytes() []byte {
	if p.memory == nil {
		return nil
	}
	return p.memory.ReadOnlyData()[p.start:p.end]
}

// Part is a part of the bytes. The last one takes the place of the whole, and has to go
// after the others.
func (p *Piece) Part(start, end int, last bool) Piece {
	return Piece{memory: p.memory, start: p.start + uint32(start), end: p.start + uint32(end), ends: last && p.ends}
}

// Free gives the memory back.
func (p *Piece) Free() {
	if p.ends {
		p.memory.Free()
	}
}

func (p *Piece) marshal() mem.BufferSlice {
	view := p.memory.Slice(int(p.start), int(p.end))
	p.Free()
	return mem.BufferSlice{view}
}

// pieceChunk is how much memory messages share that are received.
const pieceChunk = 128 << 10

// Raw is what a client receives into in place of a message if it calls with a
// [RawCodec]. It is for one stream. Its zero value is ready.
type Raw struct {
	// Piece is what was received last.
	Piece Piece

	// chunk holds what was received before, up to used.
	chunk mem.Buffer
	data  []byte
	used  int
}

// RawCodec is a codec for clients that receive a [Raw]; all else it leaves to the codec
// of gRPC. Streams that share one share memory that is used again.
type RawCodec struct {
	encoding.CodecV2
	chunks chunkPool
}

// NewRawCodec returns one.
func NewRawCodec() *RawCodec {
	return &RawCodec{encoding.GetCodecV2(proto.Name), chunkPool{size: pieceChunk}}
}

// Unmarshal implements [encoding.CodecV2].
func (c *RawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*Raw); ok {
		r.receive(data, &c.chunks)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (r *Raw) receive(data mem.BufferSlice, chunks *chunkPool) {
	if len(data) == 1 {
		data[0].Ref()
		r.Piece = Piece{memory: data[0], end: uint32(data[0].Len()), ends: true}
		return
	}
	n := data.Len()
	if n > pieceChunk {
		r.Piece = NewPiece(data.Materialize())
		return
	}
	if r.chunk == nil || n > len(r.data)-r.used {
		r.Close()
		b := chunks.Get(n)
		r.chunk, r.data, r.used = mem.NewBuffer(b, chunks), *b, 0
	}
	start := r.used
	r.used += data.CopyTo(r.data[start:])
	r.Piece = Piece{memory: r.chunk.Slice(start, r.used), end: uint32(n), ends: true}
}

// Close gives back the memory that was not received into. What was received stays whose
// it is.
func (r *Raw) Close() {
	if r.chunk != nil {
		r.chunk.Free()
	}
	r.chunk = nil
}

// chunkPool is a [mem.BufferPool] of chunks of one size.
type chunkPool struct {
	size int
	free sync.Pool
}

// Get returns a chunk, whatever is asked for.
func (p *chunkPool) Get(int) *[]byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, p.size)
	return &b
}

// Put takes a chunk back.
func (p *chunkPool) Put(b *[]byte) { p.free.Put(b) }

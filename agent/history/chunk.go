package history

import "sync/atomic"

// ChunkSize is the number of records in a chunk.
const ChunkSize = 4096

// taken is the value of chunk.pins while the writer empties the chunk.
const taken = -1

// chunk holds ChunkSize records column by column. It has no pointers, so the
// garbage collector does not scan it.
type chunk struct {
	// number is the sequence number of the first record over ChunkSize. It
	// changes only while the chunk is taken.
	number uint64
	// pins counts the readers.
	pins atomic.Int32
	// rows is how many rows are complete.
	rows atomic.Uint32

	Columns
}

// Columns are a chunk's records, field by field: see [Record]. Only the rows
// below a segment's Len may be read, and none written.
type Columns struct {
	Time                [ChunkSize]int64
	Packets, Bytes      [ChunkSize]uint64
	Location            [ChunkSize]uint64
	Src, Dst            [ChunkSize][16]byte
	Interface           [ChunkSize]uint32
	Source, Destination [ChunkSize]uint32
	SourceService       [ChunkSize]uint32
	DestinationService  [ChunkSize]uint32
	DropReason          [ChunkSize]uint32
	SrcPort, DstPort    [ChunkSize]uint16
	TCPFlags, CPU       [ChunkSize]uint16
	SrcMAC, DstMAC      [ChunkSize][6]byte
	Protocol, Verdict   [ChunkSize]uint8
	Direction           [ChunkSize]uint8
	Kind                [ChunkSize]Kind
	Flags               [ChunkSize]Flags
}

func (c *Columns) set(i int, r *Record) {
	c.Time[i], c.Packets[i], c.Bytes[i], c.Location[i] = r.Time, r.Packets, r.Bytes, r.Location
	c.Src[i], c.Dst[i] = r.Src, r.Dst
	c.Interface[i] = r.Interface
	c.Source[i], c.Destination[i] = r.Source, r.Destination
	c.SourceService[i], c.DestinationService[i] = r.SourceService, r.DestinationService
	c.DropReason[i] = r.DropReason
	c.SrcPort[i], c.DstPort[i] = r.SrcPort, r.DstPort
	c.TCPFlags[i], c.CPU[i] = r.TCPFlags, r.CPU
	c.SrcMAC[i], c.DstMAC[i] = r.SrcMAC, r.DstMAC
	c.Protocol[i], c.Verdict[i], c.Direction[i] = r.Protocol, r.Verdict, r.Direction
	c.Kind[i], c.Flags[i] = r.Kind, r.Flags
}

func (c *Columns) get(i int, r *Record) {
	*r = Record{
		Time: c.Time[i], Packets: c.Packets[i], Bytes: c.Bytes[i], Location: c.Location[i],
		Src: c.Src[i], Dst: c.Dst[i],
		Interface: c.Interface[i],
		Source:    c.Source[i], Destination: c.Destination[i],
		SourceService: c.SourceService[i], DestinationService: c.DestinationService[i],
		DropReason: c.DropReason[i],
		SrcPort:    c.SrcPort[i], DstPort: c.DstPort[i],
		TCPFlags: c.TCPFlags[i], CPU: c.CPU[i],
		SrcMAC: c.SrcMAC[i], DstMAC: c.DstMAC[i],
		Protocol: c.Protocol[i], Verdict: c.Verdict[i], Direction: c.Direction[i],
		Kind: c.Kind[i], Flags: c.Flags[i],
	}
}

// take claims the chunk for the writer; it fails while a reader holds it.
func (c *chunk) take() bool { return c.pins.CompareAndSwap(0, taken) }

// pin keeps the writer from taking the chunk; it fails while it is taken.
func (c *chunk) pin() bool {
	for {
		n := c.pins.Load()
		if n == taken {
			return false
		}
		if c.pins.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *chunk) unpin() { c.pins.Add(-1) }

// Segment is a pinned view of a chunk's complete records: those with the
// sequence numbers First to First+Len-1. It must be released, and not used
// after that. Records written later are not in it.
type Segment struct {
	// First is the sequence number of row 0.
	First uint64
	// Len is the number of rows.
	Len   int
	chunk *chunk
}

// Columns gives the segment's rows, to scan.
func (s *Segment) Columns() *Columns { return &s.chunk.Columns }

// Record copies row i into *r.
func (s *Segment) Record(i int, r *Record) { s.chunk.get(i, r) }

// Release ends the use of the segment.
func (s *Segment) Release() {
	s.chunk.unpin()
	s.chunk = nil
}

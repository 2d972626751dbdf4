package history

import "sync/atomic"

// ChunkSize is the number of records in a chunk.
const ChunkSize = 4096

// taken is the value of chunk.pins while the writer empties the chunk.
const taken = -1

// chunk holds ChunkSize records column by column. What has pointers comes first:
// the garbage collector scans no further.
type chunk struct {
	// summary is of all rows, once the chunk is full.
	summary Summary
	// number is the sequence number of the first record over ChunkSize, and lost
	// how many of the records before that are of KindLost. They and the summary
	// change only while the chunk is taken or not full.
	number, lost uint64
	// pins counts the readers.
	pins atomic.Int32

	Columns
}

// Columns are a chunk's records, field by field: see [Record]. Only the rows
// below a segment's Len may be read, and none written.
type Columns struct {
	Time                [ChunkSize]int64
	Bytes               [ChunkSize]uint64
	Packets             [ChunkSize]uint32
	Src, Dst            [ChunkSize][16]byte
	Interface           [ChunkSize]uint32
	Source, Destination [ChunkSize]uint32
	SourceService       [ChunkSize]uint32
	DestinationService  [ChunkSize]uint32
	Fate, Names, MACs   [ChunkSize]uint32
	SrcPort, DstPort    [ChunkSize]uint16
	TCPFlags            [ChunkSize]uint16
	Protocol, Verdict   [ChunkSize]uint8
	Direction           [ChunkSize]uint8
	Kind                [ChunkSize]Kind
	Flags               [ChunkSize]Flags
}

func (c *Columns) set(i int, r *Record) {
	c.Time[i], c.Packets[i], c.Bytes[i] = r.Time, r.Packets, r.Bytes
	c.Src[i], c.Dst[i] = r.Src, r.Dst
	c.Interface[i] = r.Interface
	c.Source[i], c.Destination[i] = r.Source, r.Destination
	c.SourceService[i], c.DestinationService[i] = r.SourceService, r.DestinationService
	c.Fate[i], c.Names[i] = r.Fate, r.Names
	c.SrcPort[i], c.DstPort[i] = r.SrcPort, r.DstPort
	c.TCPFlags[i] = r.TCPFlags
	c.MACs[i] = r.MACs
	c.Protocol[i], c.Verdict[i], c.Direction[i] = r.Protocol, r.Verdict, r.Direction
	c.Kind[i], c.Flags[i] = r.Kind, r.Flags
}

func (c *Columns) get(i int, r *Record) {
	*r = Record{
		Time: c.Time[i], Packets: c.Packets[i], Bytes: c.Bytes[i],
		Src: c.Src[i], Dst: c.Dst[i],
		Interface: c.Interface[i],
		Source:    c.Source[i], Destination: c.Destination[i],
		SourceService: c.SourceService[i], DestinationService: c.DestinationService[i],
		Fate: c.Fate[i], Names: c.Names[i],
		SrcPort: c.SrcPort[i], DstPort: c.DstPort[i],
		TCPFlags: c.TCPFlags[i],
		MACs:     c.MACs[i],
		Protocol: c.Protocol[i], Verdict: c.Verdict[i], Direction: c.Direction[i],
		Kind: c.Kind[i], Flags: c.Flags[i],
	}
}

// Touch reads all of a row, and returns something of it. The fields of a row lie
// in as many lines of the processor's cache as there are columns; who is going to
// need most of them, and comes from far, waits for all at once this way, and not
// for one after the other.
func (c *Columns) Touch(i int) uint64 {
	return uint64(c.Time[i]) ^ c.Bytes[i] ^ uint64(c.Src[i][15]) ^ uint64(c.Dst[i][15]) ^
		uint64(c.Packets[i]^c.Interface[i]^c.Source[i]^c.Destination[i]^c.SourceService[i]^c.DestinationService[i]^
			c.Fate[i]^c.Names[i]^c.MACs[i]) ^ uint64(c.SrcPort[i]^c.DstPort[i]^c.TCPFlags[i]) ^
		uint64(c.Protocol[i]^c.Verdict[i]^c.Direction[i]^uint8(c.Kind[i])^uint8(c.Flags[i]))
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

// Summary returns what is in the segment, or nil if its chunk is not full yet.
func (s *Segment) Summary() *Summary {
	if s.Len < ChunkSize {
		return nil
	}
	return &s.chunk.summary
}

// Flows returns how many records of flows there ever were before row i: all but
// those of KindLost.
func (s *Segment) Flows(i int) uint64 {
	flows := s.First + uint64(i) - s.chunk.lost
	for _, k := range s.chunk.Kind[:i] {
		if k == KindLost {
			flows--
		}
	}
	return flows
}

// Record copies row i into *r.
func (s *Segment) Record(i int, r *Record) { s.chunk.get(i, r) }

// Release ends the use of the segment.
func (s *Segment) Release() {
	s.chunk.unpin()
	s.chunk = nil
}

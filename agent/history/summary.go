package history

// maxDistinct is up to how many values a summary lists: with more of them, the
// rows themselves are as fast to look at.
const maxDistinct = ChunkSize / 16

// Summary is what the rows of a full chunk have in common: a reader that asks
// for what is not in it need not look at the rows.
type Summary struct {
	// The distinct values of the columns of these names, in no order; none
	// where they are more than maxDistinct.
	Source, Destination               []uint32
	SourceService, DestinationService []uint32
	Fate, Names                       []uint32

	Verdict, Direction, Kind, Protocol ByteSet
}

// ByteSet is a set of bytes.
type ByteSet [4]uint64

// Add adds b.
func (s *ByteSet) Add(b uint8) { s[b>>6] |= 1 << (b & 63) }

// Has tells whether b is in the set.
func (s *ByteSet) Has(b uint8) bool { return s[b>>6]>>(b&63)&1 != 0 }

// Overlaps tells whether a byte is in both sets.
func (s *ByteSet) Overlaps(t *ByteSet) bool {
	return s[0]&t[0]|s[1]&t[1]|s[2]&t[2]|s[3]&t[3] != 0
}

// numbers is a column of interned numbers and where a summary has its values.
type numbers struct {
	column *[ChunkSize]uint32
	list   *[]uint32
}

// lists is how many lists a summary has.
const lists = 6

func (c *chunk) numbers() [lists]numbers {
	s := &c.summary
	return [...]numbers{
		{&c.Source, &s.Source}, {&c.Destination, &s.Destination},
		{&c.SourceService, &s.SourceService}, {&c.DestinationService, &s.DestinationService},
		{&c.Fate, &s.Fate}, {&c.Names, &s.Names},
	}
}

// summarizer makes summaries. Its room grows with the numbers in use, not with
// the chunks.
type summarizer struct {
	// stamps are by number: that of the list to which it was added last.
	stamps []uint32
	stamp  uint32
	// values is room for a list.
	values []uint32
}

// seal writes the summary of a chunk whose rows are all there.
func (z *summarizer) seal(c *chunk) {
	s := &c.summary
	for _, n := range c.numbers() {
		*n.list = append((*n.list)[:0], z.distinct(n.column[:])...)
	}
	s.Verdict, s.Direction, s.Kind, s.Protocol = ByteSet{}, ByteSet{}, ByteSet{}, ByteSet{}
	for i := range ChunkSize {
		s.Verdict.Add(c.Verdict[i])
		s.Direction.Add(c.Direction[i])
		s.Kind.Add(uint8(c.Kind[i]))
		s.Protocol.Add(c.Protocol[i])
	}
}

// distinct returns the distinct values, or nil if they are too many. They are
// valid until the next call.
func (z *summarizer) distinct(values []uint32) []uint32 {
	z.values = z.values[:0]
	if z.stamp++; z.stamp == 0 {
		clear(z.stamps)
		z.stamp = 1
	}
	for _, v := range values {
		if int(v) >= len(z.stamps) {
			z.stamps = append(z.stamps, make([]uint32, int(v)+1-len(z.stamps))...)
		}
		if z.stamps[v] != z.stamp {
			z.stamps[v] = z.stamp
			if len(z.values) == maxDistinct {
				return nil
			}
			z.values = append(z.values, v)
		}
	}
	return z.values
}

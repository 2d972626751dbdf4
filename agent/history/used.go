package history

import "slices"

// Numbers is a set of interned numbers.
type Numbers []uint64

func (n *Numbers) add(list []uint32) {
	for _, v := range list {
		if word := int(v / 64); word >= len(*n) {
			*n = append(*n, make(Numbers, word+1-len(*n))...)
		}
		(*n)[v/64] |= 1 << (v % 64)
	}
}

// Has tells whether v is in the set.
func (n Numbers) Has(v uint32) bool {
	return int(v/64) < len(n) && n[v/64]>>(v%64)&1 != 0
}

// Used is which interned numbers records hold.
type Used struct{ Endpoints, Services, Fates, Names, MACs Numbers }

// Used returns the numbers in all records that anybody can still read. It is for
// the writer: no record is added meanwhile.
func (h *History) Used() Used {
	var u Used
	next := h.next.Load()
	for i := range h.ring {
		if c := h.ring[i].Load(); c != nil {
			u.add(c, min(ChunkSize, next-c.number*ChunkSize))
		}
	}
	h.left = slices.DeleteFunc(h.left, (*chunk).take)
	for _, c := range h.left {
		u.add(c, ChunkSize)
	}
	return u
}

// Add adds the numbers of a record that is not in the history yet.
func (u *Used) Add(r *Record) {
	u.Endpoints.add([]uint32{r.Source, r.Destination})
	u.Services.add([]uint32{r.SourceService, r.DestinationService})
	u.Fates.add([]uint32{r.Fate})
	u.Names.add([]uint32{r.Names})
	u.MACs.add([]uint32{r.MACs})
}

func (u *Used) add(c *chunk, rows uint64) {
	sets := [...]*Numbers{&u.Endpoints, &u.Endpoints, &u.Services, &u.Services, &u.Fates, &u.Names}
	for i, n := range c.numbers() {
		if rows == ChunkSize && len(*n.list) > 0 {
			sets[i].add(*n.list)
		} else {
			sets[i].add(n.column[:rows])
		}
	}
	u.MACs.add(c.MACs[:rows])
}

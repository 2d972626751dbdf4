package encode

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/agent/history"
)

// put writes a record into a row. Its numbers are taken for indexes of the
// fixture's.
func (f *fixture) put(c *history.Columns, i int, r *history.Record) {
	c.Time[i], c.Packets[i], c.Bytes[i] = r.Time, r.Packets, r.Bytes
	c.Src[i], c.Dst[i] = r.Src, r.Dst
	c.Interface[i] = r.Interface
	c.Source[i], c.Destination[i] = at(f.endpoints, r.Source), at(f.endpoints, r.Destination)
	c.SourceService[i], c.DestinationService[i] = at(f.services, r.SourceService), at(f.services, r.DestinationService)
	c.Fate[i], c.Names[i] = at(f.fates, r.Fate), at(f.names, r.Names)
	c.SrcPort[i], c.DstPort[i], c.TCPFlags[i] = r.SrcPort, r.DstPort, r.TCPFlags
	c.MACs[i] = at(f.macs, r.MACs)
	c.Protocol[i], c.Verdict[i], c.Direction[i] = r.Protocol, r.Verdict, r.Direction
	c.Kind[i], c.Flags[i] = r.Kind, r.Flags
}

func at(list []uint32, i uint32) uint32 { return list[i%uint32(len(list))] }

// FuzzFlow encodes a record with a mask, twice: the second time most of it is
// remembered.
func FuzzFlow(f *testing.F) {
	x := newFixture()
	c := &history.Columns{}
	for _, paths := range []string{"", "uuid", "l4.TCP.flags.SYN extensions", "source time.nanos IP.source Summary"} {
		raw, err := binary.Append(nil, binary.LittleEndian, &history.Record{
			Time: 1_700_000_000_123_456_789, Packets: 3, Bytes: 180, Interface: 7, Source: 5, Destination: 6, Names: 9, Fate: 4,
			SrcPort: 40000, DstPort: 443, TCPFlags: 0x12, MACs: 3, Protocol: 6, Verdict: 2, Direction: 1, Kind: history.KindDrop,
			Flags: history.FlagReplyKnown | history.FlagGuessed,
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(paths, raw, uint64(1))
	}
	f.Fuzz(func(t *testing.T, paths string, raw []byte, sequence uint64) {
		mask, err := NewMask(strings.Fields(paths)...)
		if err != nil {
			return
		}
		var r history.Record
		full := make([]byte, binary.Size(&r))
		copy(full, raw)
		if _, err := binary.Decode(full, binary.LittleEndian, &r); err != nil {
			t.Fatal(err)
		}
		x.put(c, 0, &r)
		e, want := NewFactory(x.Tables).New(mask), (&reference{x.Tables, mask}).response(c, 0, sequence)
		for range 2 {
			e.Renew()
			check(t, e.Flow(nil, c, 0, sequence), want)
		}
	})
}

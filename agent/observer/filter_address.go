package observer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/fovea-obs/fovea/agent/history"
)

func sourceAddresses(c *history.Columns) *[history.ChunkSize][16]byte      { return &c.Src }
func destinationAddresses(c *history.Columns) *[history.ChunkSize][16]byte { return &c.Dst }

// prefix is addresses that share their first bits, as in a record.
type prefix struct {
	hi, lo         uint64
	maskHi, maskLo uint64
	v6             bool
}

// mappedBits is how much of an IPv6 address comes before an IPv4 one in it.
const mappedBits = 96

func prefixOf(p netip.Prefix) prefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mappedBits
	}
	// A shift by 64 or more gives 0.
	out := prefix{v6: !p.Addr().Is4(), maskHi: ^uint64(0) << max(0, 64-bits), maskLo: ^uint64(0) << (128 - max(64, bits))}
	a := p.Addr().As16()
	out.hi, out.lo = binary.BigEndian.Uint64(a[:8])&out.maskHi, binary.BigEndian.Uint64(a[8:])&out.maskLo
	return out
}

func (p *prefix) contains(a *[16]byte, v6 bool) bool {
	return p.v6 == v6 &&
		binary.BigEndian.Uint64(a[:8])&p.maskHi == p.hi &&
		binary.BigEndian.Uint64(a[8:])&p.maskLo == p.lo
}

// ip takes addresses and CIDR prefixes.
func (c *compiler) ip(column func(*history.Columns) *[history.ChunkSize][16]byte, values []string) error {
	prefixes, err := c.prefixes(values)
	if err != nil {
		return err
	}
	return c.add(func(b *block, rows []uint16) []uint16 {
		addresses, kept := column(b.Columns), rows[:0]
		for _, row := range rows {
			v6 := b.Flags[row]&history.FlagIPv6 != 0
			if slices.ContainsFunc(prefixes, func(p prefix) bool { return p.contains(&addresses[row], v6) }) {
				kept = append(kept, row)
			}
		}
		return kept
	})
}

func (c *compiler) prefixes(values []string) ([]prefix, error) {
	var out []prefix
	for _, v := range values {
		p, err := parsePrefix(v)
		if err != nil {
			return nil, c.invalid(v, "an IP address or a CIDR prefix")
		}
		// A packet's address has no zone, so one with a zone is nobody's.
		if p.IsValid() {
			out = append(out, prefixOf(p))
		}
	}
	return out, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

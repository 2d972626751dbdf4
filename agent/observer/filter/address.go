package filter

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/fovea-obs/fovea/agent/history"
)

func sourceAddresses(c *history.Columns) *[history.ChunkSize][16]byte      { return &c.Src }
func destinationAddresses(c *history.Columns) *[history.ChunkSize][16]byte { return &c.Dst }

// prefix is addresses that share their first bits, as in a record. Words are as
// they lie in memory.
type prefix struct {
	hi, lo         uint64
	maskHi, maskLo uint64
	v6             bool
}

// mappedBits is how much of an IPv6 address comes before an IPv4 one in it.
const mappedBits = 96

func prefixOf(p netip.Prefix) prefix {
	length := p.Bits()
	if p.Addr().Is4() {
		length += mappedBits
	}
	var mask [16]byte
	for i := range length {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	out := prefix{v6: !p.Addr().Is4()}
	out.maskHi, out.maskLo = words(&mask)
	a := p.Addr().As16()
	hi, lo := words(&a)
	out.hi, out.lo = hi&out.maskHi, lo&out.maskLo
	return out
}

func (p *prefix) has(a netip.Addr) bool {
	b := a.As16()
	hi, lo := words(&b)
	return (lo^p.lo)&p.maskLo|(hi^p.hi)&p.maskHi == 0 && a.Is6() == p.v6
}

func words(a *[16]byte) (hi, lo uint64) {
	return binary.NativeEndian.Uint64(a[:8]), binary.NativeEndian.Uint64(a[8:])
}

// ip takes addresses and CIDR prefixes.
func (c *builder) ip(column func(*history.Columns) *[history.ChunkSize][16]byte, values []string) error {
	prefixes, err := c.prefixes(values)
	if err != nil {
		return err
	}
	return c.add(predicate{keep: func(b *block, rows *Rows) {
		addresses := column(b.Columns)
		for w, m := range rows {
			if m == 0 {
				continue
			}
			kept := uint64(0)
			for i := range prefixes {
				kept |= within(&prefixes[i], (*[wordRows][16]byte)(addresses[w*wordRows:]),
					(*[wordRows]history.Flags)(b.Flags[w*wordRows:]), m)
			}
			rows[w] = kept
		}
	}})
}

// within returns those of the rows of a word whose address is in the prefix.
func within(p *prefix, addresses *[wordRows][16]byte, flags *[wordRows]history.Flags, rows uint64) (kept uint64) {
	m := rows
	if m == ^uint64(0) {
		// Few have the end, which tells more addresses apart than the beginning.
		m = 0
		for i := range addresses {
			if lo := binary.NativeEndian.Uint64(addresses[i][8:]); (lo^p.lo)&p.maskLo == 0 {
				m |= 1 << i
			}
		}
	}
	for ; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m) & (wordRows - 1)
		hi, lo := words(&addresses[i])
		if (lo^p.lo)&p.maskLo|(hi^p.hi)&p.maskHi == 0 && flags[i]&history.FlagIPv6 != 0 == p.v6 {
			kept |= 1 << i
		}
	}
	return kept
}

// translated takes addresses and CIDR prefixes too.
func (c *builder) translated(values []string) error {
	prefixes, err := c.prefixes(values)
	if err != nil {
		return err
	}
	return c.add(c.numberIn(fates(), func(number uint32) bool {
		a := c.t.Fates.At(number).Source
		return a.IsValid() && slices.ContainsFunc(prefixes, func(p prefix) bool { return p.has(a) })
	}))
}

func (c *builder) prefixes(values []string) ([]prefix, error) {
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

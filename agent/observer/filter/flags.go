package filter

import (
	"slices"

	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

func flags(c *history.Columns) *[history.ChunkSize]history.Flags { return &c.Flags }

func (c *builder) ipVersion(values []flowpb.IPVersion) error {
	versions, err := enum(c, "IPVersion", flowpb.IPVersion_name, values)
	if err != nil {
		return err
	}
	var wanted table
	for f := range wanted {
		version := flowpb.IPVersion_IPv4
		if history.Flags(f)&history.FlagIPv6 != 0 {
			version = flowpb.IPVersion_IPv6
		}
		wanted[f] = versions[version]
	}
	return c.add(byteIn(flags, &wanted, nil))
}

// reply takes a dropped flow of which it is not known for no reply, as Hubble
// does: its UI asks for reply:false and wants drops.
func (c *builder) reply(values []bool) error {
	yes, no := slices.Contains(values, true), slices.Contains(values, false)
	fits := func(f history.Flags, dropped bool) bool {
		switch {
		case f&history.FlagReplyKnown == 0:
			return no && dropped
		case f&history.FlagReply == 0:
			return no
		}
		return yes
	}
	var forwarded, dropped table
	for f := range forwarded {
		if fits(history.Flags(f), false) {
			forwarded.add(uint8(f))
		}
		if fits(history.Flags(f), true) {
			dropped.add(uint8(f))
		}
	}
	return c.add(where(func(b *block, row int) bool {
		if flowpb.Verdict(b.Verdict[row]) == flowpb.Verdict_DROPPED {
			return dropped[b.Flags[row]] != 0
		}
		return forwarded[b.Flags[row]] != 0
	}))
}

// tcpFlags wants all that are set in one of the values; others may be set too.
func (c *builder) tcpFlags(values []*flowpb.TCPFlags) error {
	const all = 1 << 9
	var wanted [all]bool
	for _, v := range values {
		bits := lookup.TCPBits(v)
		for has := range uint16(all) {
			wanted[has] = wanted[has] || has&bits == bits
		}
	}
	return c.add(where(func(b *block, row int) bool {
		return wanted[b.TCPFlags[row]%all] && lookup.Transport(b.Protocol[row], b.Flags[row]) == lookup.ProtoTCP
	}))
}

package bpf

import "encoding/binary"

// parsed is what a frame says, as the reference reads it.
type parsed struct {
	malformed, other bool
	src, dst         [16]byte
	protocol         uint8
	noPorts          bool
	sport, dport     uint16
	tcpFlags         uint16
}

var malformed = parsed{malformed: true}

// reference reads a frame by the letter of the standards (IEEE 802.1Q, RFC 791,
// 8200, 9293, 768, 792, 4443, 9260, 9776, 9568), on slices that Go bounds.
func reference(frame []byte) parsed {
	if len(frame) < 14 {
		return malformed
	}
	ethertype, rest := binary.BigEndian.Uint16(frame[12:]), frame[14:]
	for range 2 {
		if ethertype != 0x8100 && ethertype != 0x88a8 {
			break
		}
		if len(rest) < 4 {
			return malformed
		}
		ethertype, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	switch ethertype {
	case 0x0800:
		return reference4(rest)
	case 0x86dd:
		return reference6(rest)
	}
	return parsed{other: true}
}

func reference4(b []byte) parsed {
	if len(b) < 20 {
		return malformed
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || header < 20 || total < header || total > len(b) {
		return malformed
	}
	p := parsed{protocol: b[9]}
	p.src, p.dst = mapped(b[12:16]), mapped(b[16:20])
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		p.noPorts = true
		return p
	}
	return p.transport(b[header:total])
}

func mapped(b []byte) (a [16]byte) {
	a[10], a[11] = 0xff, 0xff
	copy(a[12:], b)
	return a
}

func reference6(b []byte) parsed {
	if len(b) < 40 || b[0]>>4 != 6 {
		return malformed
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 {
		length = len(b) - 40
	}
	if length > len(b)-40 {
		return malformed
	}
	p := parsed{protocol: b[6], src: [16]byte(b[8:24]), dst: [16]byte(b[24:40])}
	b = b[40 : 40+length]
	for range 8 {
		var size int
		switch p.protocol {
		case 0, 43, 60, 135: // hop-by-hop, routing, destination, mobility
			if len(b) < 2 {
				return malformed
			}
			size = int(b[1])*8 + 8
		case 51: // authentication
			if len(b) < 2 {
				return malformed
			}
			size = int(b[1])*4 + 8
		case 44: // fragment
			if len(b) < 8 {
				return malformed
			}
			size = 8
			if binary.BigEndian.Uint16(b[2:])>>3 != 0 {
				p.protocol, p.noPorts = b[0], true
				return p
			}
		default:
			return p.transport(b)
		}
		if len(b) < size {
			return malformed
		}
		p.protocol, b = b[0], b[size:]
	}
	p.noPorts = true
	return p
}

// transport reads the ports, or what stands in their place: see struct event.
func (p parsed) transport(b []byte) parsed {
	least := map[uint8]int{6: 20, 17: 8, 132: 12, 1: 4, 58: 4, 2: 1, 112: 4}
	n, ok := least[p.protocol]
	switch {
	case !ok:
		p.noPorts = true
		return p
	case len(b) < n:
		return malformed
	}
	switch p.protocol {
	case 6, 17, 132:
		p.sport, p.dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case 1, 58:
		p.sport, p.dport = uint16(b[0]), uint16(b[1])
	case 2:
		p.sport = uint16(b[0])
	case 112:
		p.sport, p.dport = uint16(b[0]&0xf), binary.BigEndian.Uint16(b[1:])
	}
	if p.protocol == 6 {
		header := int(b[12]>>4) * 4
		if header < 20 || header > len(b) {
			return malformed
		}
		p.tcpFlags = binary.BigEndian.Uint16(b[12:]) & 0x1ff
	}
	return p
}

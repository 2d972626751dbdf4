package lab

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Chunk types and parameters of SCTP.
const (
	sctpInit       = 1
	sctpInitAck    = 2
	sctpCookie     = 7 // parameter type
	sctpHeaderSize = 12
	sctpInitSize   = 20
)

// sctpPacket is an SCTP packet with one INIT or INIT ACK chunk.
type sctpPacket struct {
	srcPort, dstPort uint16
	tag              uint32 // verification tag
	chunk            uint8  // type
	initTag          uint32
}

// marshal encodes the packet with its checksum.
func (p sctpPacket) marshal() []byte {
	var cookie []byte
	if p.chunk == sctpInitAck {
		cookie = []byte{0, sctpCookie, 0, 12, 'c', 'o', 'o', 'k', 'i', 'e', 0, 0}
	}
	var b []byte
	be := binary.BigEndian
	b = be.AppendUint16(b, p.srcPort)
	b = be.AppendUint16(b, p.dstPort)
	b = be.AppendUint32(b, p.tag)
	b = be.AppendUint32(b, 0) // checksum
	b = append(b, p.chunk, 0)
	b = be.AppendUint16(b, uint16(sctpInitSize+len(cookie)))
	b = be.AppendUint32(b, p.initTag)
	b = be.AppendUint32(b, 64<<10) // receive window
	b = be.AppendUint16(b, 1)      // outbound streams
	b = be.AppendUint16(b, 1)      // inbound streams
	b = be.AppendUint32(b, p.initTag)
	b = append(b, cookie...)
	binary.LittleEndian.PutUint32(b[8:], sctpChecksum(b))
	return b
}

// parseSCTP decodes a packet that marshal could have made.
func parseSCTP(b []byte) (sctpPacket, error) {
	if len(b) < sctpHeaderSize+sctpInitSize {
		return sctpPacket{}, errors.New("short SCTP packet")
	}
	if binary.LittleEndian.Uint32(b[8:]) != sctpChecksum(b) {
		return sctpPacket{}, errors.New("wrong SCTP checksum")
	}
	return sctpPacket{
		srcPort: binary.BigEndian.Uint16(b[0:]),
		dstPort: binary.BigEndian.Uint16(b[2:]),
		tag:     binary.BigEndian.Uint32(b[4:]),
		chunk:   b[12],
		initTag: binary.BigEndian.Uint32(b[16:]),
	}, nil
}

// sctpChecksum is the CRC32c of the packet with its checksum taken as 0.
func sctpChecksum(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:8])
	sum = crc32.Update(sum, table, make([]byte, 4))
	return crc32.Update(sum, table, b[sctpHeaderSize:])
}

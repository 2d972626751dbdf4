package lab

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestSCTPPacketIsWellFormed(t *testing.T) {
	for _, want := range []sctpPacket{
		{srcPort: 5000, dstPort: 3868, chunk: sctpInit, initTag: 7},
		{srcPort: 3868, dstPort: 5000, tag: 7, chunk: sctpInitAck, initTag: 8},
	} {
		raw := want.marshal()
		got, err := parseSCTP(raw)
		check(t, err)
		equal(t, "packet", got, want)

		// An independent decoder reads it and computes the same checksum.
		packet := gopacket.NewPacket(raw, layers.LayerTypeSCTP, gopacket.Default)
		if f := packet.ErrorLayer(); f != nil {
			t.Fatal(f.Error())
		}
		header := packet.Layer(layers.LayerTypeSCTP).(*layers.SCTP)
		buf := gopacket.NewSerializeBuffer()
		check(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, header, gopacket.Payload(raw[12:])))
		equal(t, "bytes", hex.EncodeToString(raw), hex.EncodeToString(buf.Bytes()))
		equal(t, "chunk length", int(binary.BigEndian.Uint16(raw[14:])), len(raw)-sctpHeaderSize)
	}
}

func TestParseSCTPRejects(t *testing.T) {
	raw := sctpPacket{chunk: sctpInit, initTag: 1}.marshal()
	raw[20] ^= 1
	if _, err := parseSCTP(raw); err == nil {
		t.Error("wrong checksum accepted")
	}
	if _, err := parseSCTP(raw[:20]); err == nil {
		t.Error("short packet accepted")
	}
}

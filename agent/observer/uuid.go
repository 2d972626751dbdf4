package observer

import (
	"encoding/binary"
	"encoding/hex"
)

const (
	// sequenceBits is how much of a UUID the sequence number has.
	sequenceBits = 58
	sequenceMask = 1<<sequenceBits - 1
	// MaxSequence is the largest sequence number that a UUID can hold: at a
	// million flows a second it lasts for 9,000 years.
	MaxSequence = uint64(sequenceMask)

	uuidVersion = 8 << 12
	uuidVariant = 2 << 62
)

// FormatUUID returns the UUID of a flow: of version 8 (RFC 9562, section 5.8),
// it holds the instance in its first 64 bits of data and the flow's sequence
// number in the other 58. So it tells where the flow lies, and flows of two
// starts of an agent do not share one.
func FormatUUID(instance [8]byte, sequence uint64) string {
	i := binary.BigEndian.Uint64(instance[:])
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], i&^0xffff|uuidVersion|i>>4&0xfff)
	binary.BigEndian.PutUint64(raw[8:], uuidVariant|i&0xf<<sequenceBits|sequence&sequenceMask)
	var text [36]byte
	hex.Encode(text[:8], raw[:4])
	hex.Encode(text[9:13], raw[4:6])
	hex.Encode(text[14:18], raw[6:8])
	hex.Encode(text[19:23], raw[8:10])
	hex.Encode(text[24:], raw[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// ParseUUID is the inverse of FormatUUID. It is not ok for any text that
// FormatUUID does not return.
func ParseUUID(s string) (instance [8]byte, sequence uint64, ok bool) {
	if len(s) != 36 {
		return instance, 0, false
	}
	digits := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return instance, 0, false
	}
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	binary.BigEndian.PutUint64(instance[:], hi&^0xffff|hi&0xfff<<4|lo>>sequenceBits&0xf)
	sequence = lo & sequenceMask
	return instance, sequence, FormatUUID(instance, sequence) == s
}

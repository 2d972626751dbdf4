package lookup

import (
	"encoding/binary"
	"encoding/hex"
)

const (
	// UUIDSize is the length of a UUID's text.
	UUIDSize = 36

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
	var text [UUIDSize]byte
	return string(AppendUUID(text[:0], instance, sequence))
}

// AppendUUID appends what FormatUUID returns, which has UUIDSize bytes.
func AppendUUID(b []byte, instance [8]byte, sequence uint64) []byte {
	i := binary.BigEndian.Uint64(instance[:])
	hi := i&^0xffff | uuidVersion | i>>4&0xfff
	lo := uuidVariant | i&0xf<<sequenceBits | sequence&sequenceMask
	var t [UUIDSize]byte
	binary.BigEndian.PutUint64(t[0:], hexDigits(uint32(hi>>32)))
	binary.BigEndian.PutUint64(t[9:], hexDigits(uint32(hi)))
	copy(t[14:], t[13:17])
	binary.BigEndian.PutUint64(t[19:], hexDigits(uint32(lo>>32)))
	copy(t[24:], t[23:27])
	binary.BigEndian.PutUint64(t[28:], hexDigits(uint32(lo)))
	t[8], t[13], t[18], t[23] = '-', '-', '-', '-'
	return append(b, t[:]...)
}

// hexDigits returns the eight digits of v, the first one in the highest byte.
func hexDigits(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	// The bytes of letters, 10 and more, are those that reach 16 by adding 6.
	letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101
	return x + '0'*0x0101010101010101 + letters*('a'-'0'-10)
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

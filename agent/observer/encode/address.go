package encode

import (
	"net/netip"
	"strconv"
)

// octet is the text of a byte in an address of IPv4, with the point that follows,
// and how long they are.
type octet struct {
	text [4]byte
	size uint8
}

// octets are by value. Digits made one by one cost branches that depend on how
// many there are, which a processor guesses wrong.
type octets [256]octet

func newOctets() *octets {
	o := &octets{}
	for i := range o {
		o[i].size = uint8(copy(o[i].text[:], strconv.Itoa(i)+"."))
	}
	return o
}

// ipv4Prefix is what an address of IPv4 begins with in 16 bytes.
const ipv4Prefix = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"

// appendTo appends an address.
func (o *octets) appendTo(b []byte, a *[16]byte, v6 bool) []byte {
	if v6 || string(a[:len(ipv4Prefix)]) != ipv4Prefix {
		return netip.AddrFrom16(*a).AppendTo(b)
	}
	for _, v := range a[len(ipv4Prefix):] {
		t := &o[v]
		b = append(b, t.text[:]...)[:len(b)+int(t.size)]
	}
	return b[:len(b)-1]
}

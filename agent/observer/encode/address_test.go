package encode

import (
	"net/netip"
	"testing"
)

// TestAddress holds the texts of addresses against those of package netip.
func TestAddress(t *testing.T) {
	o := newOctets()
	mapped := func(a, b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, c, d}) }
	addresses := []netip.Addr{
		mapped(0, 0, 0, 0), mapped(255, 255, 255, 255), mapped(10, 244, 7, 99), mapped(9, 100, 101, 199),
		netip.IPv6Unspecified(), netip.MustParseAddr("fd00::10"), netip.MustParseAddr("::ffff:10.0.0.1"),
	}
	for i := range 256 {
		v := byte(i)
		addresses = append(addresses, mapped(v, 0, 0, 0), mapped(1, v, 22, v), mapped(0, 0, 0, v))
	}
	for _, a := range addresses {
		for _, v6 := range []bool{false, true} {
			raw, want := a.As16(), netip.AddrFrom16(a.As16())
			if !v6 {
				want = want.Unmap()
			}
			if got := string(o.appendTo([]byte("at "), &raw, v6)); got != "at "+want.String() {
				t.Errorf("%v, as IPv6 %v: got %q, want %q", a, v6, got, want)
			}
		}
	}
}

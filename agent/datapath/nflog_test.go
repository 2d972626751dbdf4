package datapath

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"
)

func TestKeyOf(t *testing.T) {
	a4, b4 := netip.MustParseAddr("10.1.0.1").As16(), netip.MustParseAddr("10.1.0.2").As16()
	a6, b6 := netip.MustParseAddr("fd00::1").As16(), netip.MustParseAddr("fd00::2").As16()
	const ip4, ends4 = "45000028000040004006ffff", "0a0100010a010002"
	const ends6 = "fd000000000000000000000000000001" + "fd000000000000000000000000000002"
	for name, tt := range map[string]struct {
		packet string
		want   loggedKey
	}{
		"TCP":              {ip4 + ends4 + "9c400050", loggedKey{a4, b4, 40000, 80, 6}},
		"options":          {"46000028000040004011ffff" + ends4 + "01010101" + "9c400050", loggedKey{a4, b4, 40000, 80, 17}},
		"ICMP":             {"45000028000040004001ffff" + ends4 + "0803ffff", loggedKey{a4, b4, 8, 3, 1}},
		"IPv6":             {"6000000000148440" + ends6 + "9c400050", loggedKey{a6, b6, 40000, 80, 132}},
		"a later fragment": {"45000028000000084006ffff" + ends4 + "9c400050", loggedKey{}},
		"cut":              {ip4 + ends4 + "9c40", loggedKey{}},
		"no room":          {"4f000028000040004006ffff" + ends4 + "9c400050", loggedKey{}},
		"too short":        {"44000028000040004006ffff" + ends4 + "9c400050", loggedKey{}},
		"another protocol": {"4500002800004000402fffff" + ends4 + "9c400050", loggedKey{}},
		"another version":  {"75000028000040004006ffff" + ends4 + "9c400050", loggedKey{}},
		"nothing":          {"", loggedKey{}},
	} {
		packet, err := hex.DecodeString(tt.packet)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := keyOf(packet)
		if ok != (tt.want != loggedKey{}) || ok && got != tt.want {
			t.Errorf("%s is %+v, %v; want %+v", name, got, ok, tt.want)
		}
	}
}

// FuzzLogged reads messages of any bytes.
func FuzzLogged(f *testing.F) {
	f.Add([]byte{8, 0, attributePrefix, 0, 'h', 'i', 0, 0, 24, 0, attributePayload, 0, 0x45, 0, 0, 20})
	f.Fuzz(func(t *testing.T, attributes []byte) {
		if k, text, ok := readLogged(attributes); ok && (text == "" || k.protocol == 0) {
			t.Errorf("%+v, %q", k, text)
		}
	})
}

// TestForgetLogged has more connections than are remembered, and time go by.
func TestForgetLogged(t *testing.T) {
	var l packetLog
	now := time.Unix(1000, 0)
	for i := range 3 * maxLogged {
		l.note(loggedKey{sport: uint16(i)}, logged{"some", now})
	}
	if n := len(l.recent) + len(l.older); n > 2*maxLogged {
		t.Errorf("%d are remembered", n)
	}
	const last = 3*maxLogged - 1
	for _, tt := range []struct {
		port  uint16
		after time.Duration
		want  string
	}{{last, 0, "some"}, {last, keepLogged, "some"}, {last, keepLogged + 1, ""}, {0, 0, ""}, {65535, 0, ""}} {
		if got := l.find(loggedKey{sport: tt.port}, now.Add(tt.after)); got != tt.want {
			t.Errorf("of port %d after %v: %q, want %q", tt.port, tt.after, got, tt.want)
		}
	}
}

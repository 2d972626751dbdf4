package lookup

import (
	"math"
	"testing"
)

func TestUUID(t *testing.T) {
	for _, c := range []struct {
		instance [8]byte
		sequence uint64
		want     string
	}{
		{[8]byte{}, 0, "00000000-0000-8000-8000-000000000000"},
		{[8]byte{1, 2, 3, 4, 5, 6, 7, 8}, 255, "01020304-0506-8070-a000-0000000000ff"},
		{[8]byte{255, 255, 255, 255, 255, 255, 255, 255}, MaxSequence, "ffffffff-ffff-8fff-bfff-ffffffffffff"},
	} {
		got := FormatUUID(c.instance, c.sequence)
		if got != c.want {
			t.Errorf("FormatUUID(%v, %d) = %s, want %s", c.instance, c.sequence, got, c.want)
		}
		instance, sequence, ok := ParseUUID(got)
		if !ok || instance != c.instance || sequence != c.sequence {
			t.Errorf("ParseUUID(%s) = %v, %d, %v", got, instance, sequence, ok)
		}
	}
}

func TestParseUUIDRefuses(t *testing.T) {
	for _, s := range []string{
		"",
		"01020304-0506-8070-a000-0000000000f",
		"01020304-0506-8070-a000-0000000000ff0",
		"01020304-0506-7070-a000-0000000000ff",
		"01020304-0506-8070-2000-0000000000ff",
		"01020304-0506-8070-A000-0000000000FF",
		"01020304-0506-8070-a000-0000000000fg",
		"010203040-506-8070-a000-0000000000ff",
		"01020304_0506-8070-a000-0000000000ff",
	} {
		if _, _, ok := ParseUUID(s); ok {
			t.Errorf("ParseUUID(%q) is ok", s)
		}
	}
}

func FuzzUUID(f *testing.F) {
	f.Add([]byte("instance"), uint64(1))
	f.Add([]byte{0xff}, uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, raw []byte, sequence uint64) {
		var instance [8]byte
		copy(instance[:], raw)
		sequence &= MaxSequence
		i, n, ok := ParseUUID(FormatUUID(instance, sequence))
		if !ok || i != instance || n != sequence {
			t.Errorf("got %v, %d, %v for %v, %d", i, n, ok, instance, sequence)
		}
	})
}

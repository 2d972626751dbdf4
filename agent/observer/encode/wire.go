package encode

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The types of fields on the wire.
const (
	typeVarint  = int(protowire.VarintType)
	typeFixed64 = int(protowire.Fixed64Type)
	typeBytes   = int(protowire.BytesType)
)

// tag1 is the tag of a field with a number below 16: one byte.
func tag1(number, kind int) byte { return byte(number<<3 | kind) }

// appendTag1 and so on append a tag. They are for constants, of which the
// compiler makes a single write: two bytes for numbers from 16, three from 2048.
func appendTag2(b []byte, number, kind int) []byte {
	t := number<<3 | kind
	return append(b, byte(t)|0x80, byte(t>>7))
}

func appendTag3(b []byte, number, kind int) []byte {
	t := number<<3 | kind
	return append(b, byte(t)|0x80, byte(t>>7)|0x80, byte(t>>14))
}

func appendTag(b []byte, number, kind int) []byte {
	return protowire.AppendTag(b, protowire.Number(number), protowire.Type(kind))
}

// appendVarint is short enough to be inlined, for values that mostly are small.
func appendVarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return appendLong(b, v)
}

// appendLong appends a value that mostly is below 1<<35, as times are.
func appendLong(b []byte, v uint64) []byte {
	switch {
	case v < 1<<14:
		return append(b, byte(v)|0x80, byte(v>>7))
	case v < 1<<21:
		return append(b, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14))
	case v < 1<<28:
		return append(b, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14)|0x80, byte(v>>21))
	case v < 1<<35:
		return append(b, byte(v)|0x80, byte(v>>7)|0x80, byte(v>>14)|0x80, byte(v>>21)|0x80, byte(v>>28))
	}
	return protowire.AppendVarint(b, v)
}

// appendNumber appends a field of a number below 16, unless it is 0.
func appendNumber(b []byte, number int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return appendVarint(append(b, tag1(number, typeVarint)), v)
}

// appendText appends a string of any field, also if it is empty.
func appendText(b []byte, number int, s string) []byte {
	return protowire.AppendString(appendTag(b, number, typeBytes), strings.ToValidUTF8(s, "\uFFFD"))
}

// appendString appends a string, unless it is empty.
func appendString(b []byte, number int, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(b, number, s)
}

func appendBytes(b []byte, number int, v []byte) []byte {
	return protowire.AppendBytes(appendTag(b, number, typeBytes), v)
}

func appendDouble(b []byte, number int, v float64) []byte {
	return protowire.AppendFixed64(appendTag(b, number, typeFixed64), math.Float64bits(v))
}

// closeMessage writes the length of a message that begins at start, into the two bytes
// before it.
func closeMessage(b []byte, start int) []byte {
	n := len(b) - start
	if n < 0x80 || n >= 1<<14 {
		return closeOther(b, start)
	}
	b[start-2], b[start-1] = byte(n)|0x80, byte(n>>7)
	return b
}

// closeOther moves a message whose length does not take two bytes.
func closeOther(b []byte, start int) []byte {
	n := len(b) - start
	size := protowire.SizeVarint(uint64(n))
	for range size - 2 {
		b = append(b, 0)
	}
	copy(b[start-2+size:], b[start:start+n])
	b = protowire.AppendVarint(b[:start-2], uint64(n))
	return b[:start-2+size+n]
}

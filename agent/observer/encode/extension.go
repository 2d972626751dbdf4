package encode

import (
	"encoding/binary"
	"math"

	"github.com/fovea-obs/fovea/agent/history"
)

// structURL names the type of the message in extensions.
const structURL = "type.googleapis.com/google.protobuf.Struct"

// extension is what Hubble's flow has no field for: the packets and bytes that
// the flow stands for, the kernel's own words for a drop, and that what it says of
// policies or the reply bit was inferred. It is a Struct, which clients can print
// without knowing of it.
type extension struct {
	// text is the field of the flow, in which two numbers are missing.
	text []byte
	// bytes and packets are where they belong, if they do: they are never at 0.
	bytes, packets int
}

// newExtensions returns the extensions of flows with a drop, which is a Struct, or
// without, nil: by whether the reply bit was inferred.
func newExtensions(w *wanted, kind history.Kind, drop []byte, judged bool) [2]extension {
	return [2]extension{newExtension(w, kind, drop, judged, false), newExtension(w, kind, drop, judged, true)}
}

func newExtension(w *wanted, kind history.Kind, drop []byte, judged, inferred bool) extension {
	if !w.extensions {
		return extension{}
	}
	var s []byte
	var bytesEnd, packetsEnd int
	counts := kind != history.KindPolicy
	if counts {
		s = appendEntry(s, "bytes", appendDouble(nil, valueNumber, 0))
		bytesEnd = len(s)
	}
	if drop != nil {
		s = appendEntry(s, "drop", appendBytes(nil, valueStruct, drop))
	}
	if counts {
		s = appendEntry(s, "packets", appendDouble(nil, valueNumber, 0))
		packetsEnd = len(s)
	}
	isTrue := []byte{tag1(valueBool, typeVarint), 1}
	if judged {
		s = appendEntry(s, "policy_inferred", isTrue)
	}
	if inferred {
		s = appendEntry(s, "reply_inferred", isTrue)
	}
	var m []byte
	if w.any.has(anyTypeURL) {
		m = appendText(m, anyTypeURL, structURL)
	}
	if !w.any.has(anyValue) || len(s) == 0 {
		return extension{text: appendBytes(nil, flowExtensions, m)}
	}
	text := appendBytes(nil, flowExtensions, appendBytes(m, anyValue, s))
	value := len(text) - len(s)
	if !counts {
		return extension{text: text}
	}
	return extension{text: text, bytes: value + bytesEnd - 8, packets: value + packetsEnd - 8}
}

// appendEntry appends an entry of a Struct.
func appendEntry(b []byte, key string, value []byte) []byte {
	return appendBytes(b, structFields, appendBytes(appendText(nil, entryKey, key), entryValue, value))
}

func (e *Encoder) extension(b []byte, c *history.Columns, row int, o *outcome) []byte {
	const guessed = history.FlagReplyKnown | history.FlagGuessed
	inferred := 0
	if c.Flags[row]&guessed == guessed {
		inferred = 1
	}
	x := &e.fixed.plain[inferred]
	if o != nil {
		x = &o.extensions[inferred]
	}
	start := len(b)
	b = append(b, x.text...)
	if x.bytes != 0 {
		binary.LittleEndian.PutUint64(b[start+x.bytes:], math.Float64bits(float64(c.Bytes[row])))
		binary.LittleEndian.PutUint64(b[start+x.packets:], math.Float64bits(float64(c.Packets[row])))
	}
	return b
}

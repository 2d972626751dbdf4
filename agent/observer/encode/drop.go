package encode

import (
	"strings"

	"github.com/fovea-obs/fovea/agent/history"
)

// dropped is what is written of why and where a packet was dropped.
type dropped struct {
	// reason is Hubble's.
	reason uint64
	// event is a field of the flow.
	event []byte
	// summary is the end of a summary.
	summary []byte
	// extensions are by whether the reply bit was inferred.
	extensions [2]extension
}

func (e *Encoder) dropped(number uint32) *dropped {
	if d := e.drops.find(uint64(number)); d != nil {
		return d
	}
	t, w := e.tables, &e.want
	kernel := t.Fates.At(number)
	reason := strings.ToValidUTF8(t.KernelReason(kernel), "\uFFFD")
	where := strings.ToValidUTF8(t.Location(kernel), "\uFFFD")
	summary := "; " + reason
	var entries []byte
	if where != "" {
		summary += " at " + where
		entries = appendEntry(entries, "location", appendText(nil, valueString, where))
	}
	entries = appendEntry(entries, "reason", appendText(nil, valueString, reason))
	d := e.drops.claim(uint64(number))
	*d = dropped{
		reason: uint64(t.DropReason(number)), event: eventType(t, w, history.KindDrop, 0, number),
		summary:    []byte(summary),
		extensions: [2]extension{newExtension(w, entries, false), newExtension(w, entries, true)},
	}
	return d
}

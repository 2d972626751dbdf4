package encode

import (
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// Encoder writes records as Hubble's messages, for one request. It is for one
// goroutine.
type Encoder struct {
	tables *lookup.Tables
	want   wanted
	fixed  fixed
	octets *octets

	// epoch is that of what is remembered by number.
	epoch               lookup.Epoch
	source, destination *endpoints
	services            [2]services
	names               cache[[]byte]
	outcomes            cache[outcome]
	translated, frames  cache[[]byte]
	// interfaces are names by index, of one chunk.
	interfaces cache[string]
	// summaries depend on no table.
	summaries cache[[]byte]
}

// New returns an encoder that writes what the mask asks for.
func (f *Factory) New(m Mask) *Encoder {
	e := &Encoder{tables: f.tables, want: newWanted(m), octets: f.octets, epoch: f.tables.Epoch()}
	e.fixed = newFixed(e.tables, &e.want)
	e.source, e.destination = f.of(e.want.source), f.of(e.want.destination)
	e.services[0].fields = e.want.sourceService
	e.services[1].fields = e.want.destinationService
	return e
}

// Renew forgets what is void. It must be called after each chunk was pinned and
// before its rows are encoded.
func (e *Encoder) Renew() {
	// No epoch tells that an interface has got another name.
	e.interfaces.void()
	epoch := e.tables.Epoch()
	if epoch == e.epoch {
		return
	}
	e.epoch = epoch
	e.services[0].void()
	e.services[1].void()
	e.names.void()
	e.outcomes.void()
	e.translated.void()
	e.frames.void()
}

// Flow appends the GetFlowsResponse for a row of c, with sequence as its number.
func (e *Encoder) Flow(b []byte, c *history.Columns, row int, sequence uint64) []byte {
	b = append(e.envelope(b, c.Time[row]), tag1(responseFlow, typeBytes), 0, 0)
	start := len(b)
	return closeMessage(e.Message(b, c, row, sequence), start)
}

// Message appends the bare flow.Flow for a row of c.
func (e *Encoder) Message(b []byte, c *history.Columns, row int, sequence uint64) []byte {
	want := &e.want
	var o *outcome
	if want.outcome && hasOutcome(c.Kind[row]) {
		o = e.outcome(c.Kind[row], c.Verdict[row], c.Fate[row])
	}
	if want.flow.has(flowTime) {
		b = appendTime(append(b, tag1(flowTime, typeBytes)), c.Time[row], want.time)
	}
	if want.flow.has(flowVerdict) {
		b = appendNumber(b, flowVerdict, uint64(c.Verdict[row]))
	}
	if o != nil && want.flow.has(flowDropReason) {
		b = appendNumber(b, flowDropReason, o.reason)
	}
	b = e.packet(b, c, row)
	b = e.ends(b, c, row)
	b = e.connection(b, c, row, o)
	if n := c.Interface[row]; n != 0 && want.flow.has(flowInterface) {
		b = e.netInterface(b, n)
	}
	if want.flow.has(flowUUID) {
		b = append(appendTag2(b, flowUUID, typeBytes), lookup.UUIDSize)
		b = lookup.AppendUUID(b, e.tables.Instance, sequence)
	}
	b = append(b, e.fixed.emitter...)
	if o != nil {
		b = append(b, o.policies...)
	}
	if want.summary {
		b = e.summary(b, c, row, o)
	}
	if want.extensions {
		b = e.extension(b, c, row, o)
	}
	return b
}

// ends appends the fields from source to destination_names.
func (e *Encoder) ends(b []byte, c *history.Columns, row int) []byte {
	if e.want.flow.has(flowSource) {
		b = append(append(b, tag1(flowSource, typeBytes)), e.source.get(e.tables, c.Source[row])...)
	}
	if e.want.flow.has(flowDestination) {
		b = append(append(b, tag1(flowDestination, typeBytes)), e.destination.get(e.tables, c.Destination[row])...)
	}
	b = append(b, e.fixed.typeAndNode...)
	if n := c.Names[row]; n != 0 && e.want.names {
		b = append(b, e.namesOf(n)...)
	}
	return b
}

// connection appends the fields from reply to is_reply.
func (e *Encoder) connection(b []byte, c *history.Columns, row int, o *outcome) []byte {
	want := &e.want
	kind, flags := c.Kind[row], c.Flags[row]
	if isReply(flags) && want.flow.has(flowReply) {
		b = append(appendTag2(b, flowReply, typeVarint), 1)
	}
	b = e.event(b, kind, flags, o)
	if n := c.SourceService[row]; n != 0 && want.flow.has(flowSourceService) {
		b = append(appendTag2(b, flowSourceService, typeBytes), e.services[0].get(e.tables, n)...)
	}
	if n := c.DestinationService[row]; n != 0 && want.flow.has(flowDestinationService) {
		b = append(appendTag2(b, flowDestinationService, typeBytes), e.services[1].get(e.tables, n)...)
	}
	if v := c.Direction[row]; v != 0 && want.flow.has(flowDirection) {
		b = appendVarint(appendTag2(b, flowDirection, typeVarint), uint64(v))
	}
	if o != nil && o.match != 0 && want.flow.has(flowPolicyMatchType) {
		b = append(appendTag2(b, flowPolicyMatchType, typeVarint), o.match)
	}
	if !hasOutcome(kind) && want.flow.has(flowObservationPoint) {
		b = append(appendTag2(b, flowObservationPoint, typeVarint), byte(lookup.ObservationPoint(flags)))
	}
	if o != nil && o.reason != 0 && want.flow.has(flowDropReasonDesc) {
		b = appendVarint(appendTag2(b, flowDropReasonDesc, typeVarint), o.reason)
	}
	if flags&history.FlagReplyKnown != 0 && want.flow.has(flowIsReply) {
		b = appendIsReply(b, flags, want.isReply)
	}
	return b
}

func isReply(f history.Flags) bool {
	const reply = history.FlagReplyKnown | history.FlagReply
	return f&reply == reply
}

func appendIsReply(b []byte, flags history.Flags, f fields) []byte {
	b = appendTag2(b, flowIsReply, typeBytes)
	if !isReply(flags) || !f.has(wrapperValue) {
		return append(b, 0)
	}
	return append(b, 2, tag1(wrapperValue, typeVarint), 1)
}

// event appends the event's type and sub-type.
func (e *Encoder) event(b []byte, kind history.Kind, flags history.Flags, o *outcome) []byte {
	switch {
	case !hasOutcome(kind):
		return append(b, e.fixed.traces[tracePoint(flags)]...)
	case o != nil:
		return append(b, o.event...)
	}
	return b
}

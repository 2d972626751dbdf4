package encode

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"

	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// emitterText is the product that wrote a flow.
const emitterText = "fovea"

// tracePoint numbers the places where packets are seen.
func tracePoint(f history.Flags) (i int) {
	if f&history.FlagFromEndpoint != 0 {
		i = 1
	}
	if f&history.FlagNetwork != 0 {
		i += 2
	}
	return i
}

// fixed are bytes that are the same in all flows.
type fixed struct {
	// node is the envelope's name of the node.
	node []byte
	// typeAndNode are two fields of the flow that follow each other.
	typeAndNode []byte
	emitter     []byte
	// traces are the events of what is no drop, by tracePoint.
	traces [4][]byte
	// plain are the extensions of what is no drop, by whether the reply bit was
	// inferred.
	plain [2]extension
}

func newFixed(t *lookup.Tables, w *wanted) fixed {
	f := fixed{node: appendString(nil, responseNodeName, t.Node)}
	if w.flow.has(flowType) {
		f.typeAndNode = appendNumber(f.typeAndNode, flowType, uint64(flowpb.FlowType_L3_L4))
	}
	if w.flow.has(flowNodeName) {
		f.typeAndNode = appendString(f.typeAndNode, flowNodeName, t.Node)
	}
	if w.flow.has(flowEmitter) {
		var m []byte
		if w.emitter.has(emitterName) {
			m = appendString(m, emitterName, emitterText)
		}
		if w.emitter.has(emitterVersion) {
			m = appendString(m, emitterVersion, t.Version)
		}
		f.emitter = appendBytes(nil, flowEmitter, m)
	}
	for _, flags := range []history.Flags{
		0, history.FlagFromEndpoint, history.FlagNetwork, history.FlagNetwork | history.FlagFromEndpoint,
	} {
		f.traces[tracePoint(flags)] = eventType(t, w, history.KindTrace, flags, fate.None)
	}
	f.plain = newExtensions(w, history.KindTrace, nil, false)
	return f
}

// eventType returns a record's event, as a field of the flow.
func eventType(t *lookup.Tables, w *wanted, kind history.Kind, flags history.Flags, number uint32) []byte {
	if !w.flow.has(flowEventType) {
		return nil
	}
	event, sub := t.EventType(kind, flags, number)
	var m []byte
	if w.event.has(eventTypeType) {
		m = appendNumber(m, eventTypeType, uint64(event))
	}
	if w.event.has(eventTypeSub) {
		m = appendNumber(m, eventTypeSub, uint64(sub))
	}
	return appendBytes(nil, flowEventType, m)
}

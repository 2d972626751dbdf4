package metrics

import "google.golang.org/protobuf/encoding/protowire"

// The numbers of fields: of observer.GetFlowsResponse, and of flow.LostEvent.
const (
	responseFlow = 1
	responseLost = 3

	lostNumber = 2
)

// read finds out what a response tells: a flow, or how many are lost. It is neither if
// the response tells something else, or is none. Where a flow is found is no further
// looked at.
func read(b []byte) (isFlow bool, lost uint64) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false, 0
		}
		b = b[n:]
		if number == responseFlow {
			return true, 0
		}
		if number == responseLost && kind == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			return false, readLost(v)
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return false, 0
		}
		b = b[n:]
	}
	return false, 0
}

func readLost(b []byte) (lost uint64) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0
		}
		b = b[n:]
		if number == lostNumber && kind == protowire.VarintType {
			lost, _ = protowire.ConsumeVarint(b)
			return lost
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return 0
		}
		b = b[n:]
	}
	return 0
}

package filter

import (
	"fmt"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// Each flow is held against each filter of a request, and each value of that.
const (
	// maxFilters is how many filters each list of a request may have.
	maxFilters = 128
	// maxFilterBytes bounds the filters of a list together, encoded.
	maxFilterBytes = 128 << 10
)

// limit refuses a list of filters that would cost too much.
func limit(field string, filters []*flowpb.FlowFilter) error {
	if len(filters) > maxFilters {
		return lookup.Invalid(field, fmt.Sprintf("%d filters", len(filters)), fmt.Sprintf("at most %d", maxFilters))
	}
	size := 0
	for _, f := range filters {
		size += proto.Size(f)
	}
	if size > maxFilterBytes {
		return lookup.Invalid(field, fmt.Sprintf("filters of %d bytes", size), fmt.Sprintf("at most %d", maxFilterBytes))
	}
	return nil
}

package observer

import (
	"fmt"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/proto"

	"github.com/fovea-obs/fovea/agent/observer/filter"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// Each flow is held against each filter of a request, and each value of that.
const (
	// maxFilters is how many filters each list of a request may have.
	maxFilters = 128
	// maxFilterBytes bounds the filters of a list together, encoded.
	maxFilterBytes = 128 << 10
)

// limitedCompiler is a Compiler that refuses what would cost too much.
type limitedCompiler struct{ *filter.Compiler }

// Compile compiles a request's filters. Its errors name the field at fault.
func (c limitedCompiler) Compile(whitelist, blacklist []*flowpb.FlowFilter) (*filter.Plan, error) {
	if err := checkFilters("whitelist", whitelist); err != nil {
		return nil, err
	}
	if err := checkFilters("blacklist", blacklist); err != nil {
		return nil, err
	}
	return c.Compiler.Compile(whitelist, blacklist)
}

func checkFilters(field string, filters []*flowpb.FlowFilter) error {
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

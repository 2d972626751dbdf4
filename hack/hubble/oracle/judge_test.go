package oracle

import (
	"context"
	"log/slog"
	"sync"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	v1 "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/filters"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// judge is upstream, but for the differences.
type judge struct {
	fields      []filters.OnBuildFilter
	differences []difference

	mu sync.Mutex
	// met counts the filters that each difference applied to.
	met []int
}

func newJudge() *judge {
	d := differences()
	return &judge{
		fields: filters.DefaultFilters(slog.New(slog.DiscardHandler)), differences: d, met: make([]int, len(d)),
	}
}

// verdict is what the judge says of a request's filters.
type verdict struct {
	// refused are the filters not to be taken, by where the request has them.
	refused map[place]bool
	allow   filters.FilterFuncs
	deny    filters.FilterFuncs
}

// place is where a request has a filter.
type place struct {
	list  string
	index int
}

func (v *verdict) passes(f *flowpb.Flow) bool {
	return filters.Apply(v.allow, v.deny, &v1.Event{Event: f})
}

func (j *judge) judge(ctx context.Context, req *observerpb.GetFlowsRequest) *verdict {
	v := &verdict{refused: map[place]bool{}}
	v.allow = j.list(ctx, "whitelist", req.GetWhitelist(), v.refused)
	v.deny = j.list(ctx, "blacklist", req.GetBlacklist(), v.refused)
	return v
}

func (j *judge) list(
	ctx context.Context, name string, list []*flowpb.FlowFilter, refused map[place]bool,
) filters.FilterFuncs {
	var out filters.FilterFuncs
	for i, f := range list {
		one, ok := j.build(ctx, f)
		if !ok {
			refused[place{name, i}] = true
		}
		out = append(out, one...)
	}
	return out
}

// build returns upstream's form of a filter, which is not ok if it is to be
// refused.
func (j *judge) build(ctx context.Context, f *flowpb.FlowFilter) (built filters.FilterFuncs, ok bool) {
	built, err := filters.BuildFilterList(ctx, []*flowpb.FlowFilter{f}, j.fields)
	if err != nil {
		return nil, false
	}
	changed, refused := j.differ(f)
	switch {
	case refused:
		return nil, false
	case changed != nil:
		built, err = filters.BuildFilterList(ctx, []*flowpb.FlowFilter{changed}, j.fields)
	}
	return built, err == nil
}

// differ tells whether a filter that upstream takes is to be refused, or else
// what is to be judged in its place, if anything.
func (j *judge) differ(f *flowpb.FlowFilter) (changed *flowpb.FlowFilter, refused bool) {
	if len(f.ProtoReflect().GetUnknown()) > 0 {
		return nil, true
	}
	for i, d := range j.differences {
		met := false
		eachField(f, func(field protoreflect.FieldDescriptor, v protoreflect.Value) {
			if !d.applies(field, v) {
				return
			}
			met = true
			if d.instead == nil {
				refused = true
				return
			}
			if changed == nil {
				changed = proto.CloneOf(f)
			}
			d.instead(field, changed.ProtoReflect().Mutable(field))
		})
		if met {
			j.mu.Lock()
			j.met[i]++
			j.mu.Unlock()
		}
	}
	return changed, refused
}

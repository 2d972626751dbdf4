package observer

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/fovea-obs/fovea/agent/history"
)

// extensions writes what Hubble's flow has no field for: the packets and bytes
// that the flow stands for, the kernel's own words for a drop, and that the
// reply bit was inferred. It is a Struct, which clients can print without
// knowing of it.
func (e *encoder) extensions(f *flowpb.Flow, r *row) {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{
		"packets": structpb.NewNumberValue(float64(r.Packets)),
		"bytes":   structpb.NewNumberValue(float64(r.Bytes)),
	}}
	if r.Kind == history.KindDrop {
		s.Fields["drop"] = structpb.NewStructValue(e.drop(r))
	}
	if r.Has(history.FlagReplyKnown | history.FlagGuessed) {
		s.Fields["reply_inferred"] = structpb.NewBoolValue(true)
	}
	// Numbers, flags and names marshal without fail, unless a name is not UTF-8.
	if extensions, err := anypb.New(s); err == nil {
		f.Extensions = extensions
	}
}

func (e *encoder) drop(r *row) *structpb.Struct {
	d := &structpb.Struct{Fields: map[string]*structpb.Value{
		"reason": structpb.NewStringValue(e.c.kernelReason(r.DropReason)),
	}}
	if where := e.c.location(r.Location); where != "" {
		d.Fields["location"] = structpb.NewStringValue(where)
	}
	return d
}

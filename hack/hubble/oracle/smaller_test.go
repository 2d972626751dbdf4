package oracle

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// smaller leaves out filters, fields and values of a request for as long as it
// still fails.
func smaller(req *observerpb.GetFlowsRequest, fails func(*observerpb.GetFlowsRequest) bool) *observerpb.GetFlowsRequest {
	for again := true; again; {
		again = false
		for _, less := range lesser(req) {
			if fails(less) {
				req, again = less, true
				break
			}
		}
	}
	return req
}

// lesser are the requests with one thing less.
func lesser(req *observerpb.GetFlowsRequest) []*observerpb.GetFlowsRequest {
	var out []*observerpb.GetFlowsRequest
	try := func(change func(*observerpb.GetFlowsRequest)) {
		less := proto.CloneOf(req)
		change(less)
		out = append(out, less)
	}
	for _, list := range []string{"whitelist", "blacklist"} {
		d := req.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(list))
		at := func(req *observerpb.GetFlowsRequest) protoreflect.List { return req.ProtoReflect().Mutable(d).List() }
		for i := range at(req).Len() {
			try(func(less *observerpb.GetFlowsRequest) { remove(at(less), i) })
			f := at(req).Get(i).Message().Interface().(*flowpb.FlowFilter)
			eachField(f, func(field protoreflect.FieldDescriptor, v protoreflect.Value) {
				try(func(less *observerpb.GetFlowsRequest) { at(less).Get(i).Message().Clear(field) })
				if !field.IsList() || v.List().Len() < 2 {
					return
				}
				for value := range v.List().Len() {
					try(func(less *observerpb.GetFlowsRequest) {
						remove(at(less).Get(i).Message().Mutable(field).List(), value)
					})
				}
			})
		}
	}
	return out
}

func remove(l protoreflect.List, i int) {
	for ; i < l.Len()-1; i++ {
		l.Set(i, l.Get(i+1))
	}
	l.Truncate(l.Len() - 1)
}

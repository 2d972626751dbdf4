package observer

import (
	"context"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// experimental returns the message as clients of Cilium before 1.17 send it.
func experimental(t *testing.T, paths ...string) *observerpb.GetFlowsRequest_Experimental {
	t.Helper()
	raw, err := proto.Marshal(&fieldmaskpb.FieldMask{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	other := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1)
	e := &observerpb.GetFlowsRequest_Experimental{}
	e.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(other, experimentalMask, protowire.BytesType), raw))
	return e
}

func TestExperimentalMask(t *testing.T) {
	f := newFixture(t)
	f.write(t, "udp 192.0.2.1:1 -> 192.0.2.2:2")
	for name, c := range map[string]struct {
		req  *observerpb.GetFlowsRequest
		want *flowpb.Flow
	}{
		"alone": {
			&observerpb.GetFlowsRequest{Experimental: experimental(t, "verdict")},
			&flowpb.Flow{Verdict: flowpb.Verdict_FORWARDED},
		},
		"beside the field": {
			&observerpb.GetFlowsRequest{
				Experimental: experimental(t, "verdict"),
				FieldMask:    &fieldmaskpb.FieldMask{Paths: []string{"Type"}},
			},
			&flowpb.Flow{Type: flowpb.FlowType_L3_L4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := f.get(context.Background(), c.req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got[0].GetFlow(), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
	wantInvalid(t, f, &observerpb.GetFlowsRequest{Experimental: experimental(t, "nothing")}, `field_mask: "nothing"`)
	broken := experimental(t)
	broken.ProtoReflect().SetUnknown(append(protowire.AppendTag(nil, experimentalMask, protowire.BytesType), 1, 0xff))
	wantInvalid(t, f, &observerpb.GetFlowsRequest{Experimental: broken}, "experimental.field_mask: ")
}

// TestPartsAndMask checks that each field can be had alone, and is then as in
// the whole flow.
func TestPartsAndMask(t *testing.T) {
	f := filterFixture(t)
	whole, err := f.get(context.Background(), &observerpb.GetFlowsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	fields := (&flowpb.Flow{}).ProtoReflect().Descriptor().Fields()
	written := map[string]bool{}
	for i := range fields.Len() {
		field := fields.Get(i)
		got, err := f.get(context.Background(), &observerpb.GetFlowsRequest{
			FieldMask: &fieldmaskpb.FieldMask{Paths: []string{string(field.Name())}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range got {
			if r.GetFlow() == nil {
				continue
			}
			want := &flowpb.Flow{}
			copyField(want, whole[i].GetFlow(), field)
			if diff := cmp.Diff(want, r.GetFlow(), protocmp.Transform()); diff != "" {
				t.Errorf("%s: %s", field.Name(), diff)
			}
			if r.GetFlow().ProtoReflect().Has(field) {
				written[string(field.Name())] = true
			}
		}
	}
	for _, p := range parts() {
		if !written[p.field] {
			t.Errorf("%s is never written", p.field)
		}
	}
}

func copyField(to, from proto.Message, field protoreflect.FieldDescriptor) {
	if m := from.ProtoReflect(); m.Has(field) {
		to.ProtoReflect().Set(field, m.Get(field))
	}
}

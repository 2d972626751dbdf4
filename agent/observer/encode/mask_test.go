package encode

import (
	"testing"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

func TestNewMask(t *testing.T) {
	for name, c := range map[string]struct {
		paths []string
		want  Mask
	}{
		"none":              {nil, nil},
		"fields":            {[]string{"uuid", "time"}, Mask{"uuid": nil, "time": nil}},
		"within":            {[]string{"l4.TCP.flags.SYN", "l4.UDP"}, Mask{"l4": {"TCP": {"flags": {"SYN": nil}}, "UDP": nil}}},
		"whole before part": {[]string{"source", "source.pod_name"}, Mask{"source": nil}},
		"part before whole": {[]string{"source.pod_name", "source"}, Mask{"source": nil}},
		"twice":             {[]string{"IP.source", "IP.source"}, Mask{"IP": {"source": nil}}},
	} {
		got, err := NewMask(c.paths...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// raw returns what clients of Cilium before 1.17 send as experimental, after
// another field that is not known.
func raw(t *testing.T, kind protowire.Type, mask []byte) *observerpb.GetFlowsRequest_Experimental {
	t.Helper()
	b := protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1)
	e := &observerpb.GetFlowsRequest_Experimental{}
	e.ProtoReflect().SetUnknown(append(protowire.AppendTag(b, experimentalMask, kind), mask...))
	return e
}

func experimental(t *testing.T, paths ...string) *observerpb.GetFlowsRequest_Experimental {
	t.Helper()
	m, err := proto.Marshal(&fieldmaskpb.FieldMask{Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	return raw(t, protowire.BytesType, protowire.AppendBytes(nil, m))
}

func TestMaskOf(t *testing.T) {
	uuid := &fieldmaskpb.FieldMask{Paths: []string{"uuid"}}
	for name, c := range map[string]struct {
		req  *observerpb.GetFlowsRequest
		want Mask
	}{
		"none":                 {&observerpb.GetFlowsRequest{}, nil},
		"empty":                {&observerpb.GetFlowsRequest{FieldMask: &fieldmaskpb.FieldMask{}}, nil},
		"the field":            {&observerpb.GetFlowsRequest{FieldMask: uuid}, Mask{"uuid": nil}},
		"the old field":        {&observerpb.GetFlowsRequest{Experimental: experimental(t, "verdict")}, Mask{"verdict": nil}},
		"both":                 {&observerpb.GetFlowsRequest{Experimental: experimental(t, "verdict"), FieldMask: uuid}, Mask{"uuid": nil}},
		"something in its way": {&observerpb.GetFlowsRequest{Experimental: raw(t, protowire.VarintType, []byte{1})}, nil},
	} {
		got, err := MaskOf(c.req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestMaskOfRefuses(t *testing.T) {
	mask := func(path string) *observerpb.GetFlowsRequest {
		return &observerpb.GetFlowsRequest{FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"uuid", path}}}
	}
	old := func(e *observerpb.GetFlowsRequest_Experimental) *observerpb.GetFlowsRequest {
		return &observerpb.GetFlowsRequest{Experimental: e}
	}
	const paths = " is not valid: paths of fields of flow.Flow, as source.pod_name expected"
	for name, c := range map[string]struct {
		req  *observerpb.GetFlowsRequest
		want string
	}{
		"unknown":            {mask("nothing"), `field_mask: "nothing"` + paths},
		"empty":              {mask(""), `field_mask: ""` + paths},
		"below a number":     {mask("verdict.x"), `field_mask: "verdict.x"` + paths},
		"below a list":       {mask("source.workloads.name"), `field_mask: "source.workloads.name"` + paths},
		"unknown, old field": {old(experimental(t, "nothing")), `experimental.field_mask: "nothing"` + paths},
		"no mask":            {old(raw(t, protowire.BytesType, []byte{1, 0xff})), `experimental.field_mask: "`},
		"no length":          {old(raw(t, protowire.BytesType, []byte{9})), `experimental.field_mask: "`},
	} {
		_, err := MaskOf(c.req)
		got := status.Convert(err)
		if got.Code() != codes.InvalidArgument || len(got.Message()) < len(c.want) || got.Message()[:len(c.want)] != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

package observer

import (
	"context"
	"testing"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// FuzzRequest sends any request: it is answered, or refused as invalid.
func FuzzRequest(f *testing.F) {
	for field, cases := range validFilters() {
		for _, c := range cases {
			req := &observerpb.GetFlowsRequest{Number: uint64(len(field))}
			if err := prototext.Unmarshal([]byte("whitelist: {"+c.filter+"} blacklist: {"+c.filter+"}"), req); err != nil {
				f.Fatal(err)
			}
			raw, err := proto.Marshal(req)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Add([]byte("\x0a"))
	fixture := filterFixture(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := &observerpb.GetFlowsRequest{}
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		req.Follow = false
		sent, err := fixture.get(context.Background(), req)
		if err != nil && status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
		flows := uint64(0)
		for _, r := range sent {
			if r.GetTime() == nil || r.GetNodeName() == "" {
				t.Errorf("%v: envelope of %v", req, r)
			}
			if r.GetFlow() != nil {
				flows++
			}
			if _, err := proto.Marshal(r); err != nil {
				t.Errorf("%v: %v", req, err)
			}
		}
		if n := req.GetNumber(); n > 0 && flows > n {
			t.Errorf("%v: %d flows", req, flows)
		}
	})
}

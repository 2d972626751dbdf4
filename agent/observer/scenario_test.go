package observer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cockroachdb/datadriven"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	_ "google.golang.org/protobuf/types/known/structpb" // extensions hold one

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// TestScenarios runs the scripts in testdata. Their commands are
//
//	pod name=ns/name ip=address [workload=Kind/name] [labels=(k=v, ...)]
//	service name=ns/name ip=address
//	write             records, one a line: see fixture.record
//	fill n=number     so many records more
//	get [json]        a GetFlowsRequest as text, answered with what is sent
//	status, nodes, namespaces
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		f := newFixture(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return f.command(t, d)
		})
	})
}

func (f *fixture) command(t *testing.T, d *datadriven.TestData) string {
	ctx := context.Background()
	switch d.Cmd {
	case "pod", "service":
		f.define(t, d)
		return ""
	case "write":
		first := f.history.Next()
		f.write(t, strings.Split(d.Input, "\n")...)
		return fmt.Sprintf("%d to %d\n", first, f.history.Next()-1)
	case "fill":
		var n int
		d.ScanArgs(t, "n", &n)
		for range n {
			f.write(t, "udp 198.51.100.1:1 -> 198.51.100.2:2")
		}
		return fmt.Sprintf("oldest %d, next %d\n", f.history.Oldest(), f.history.Next())
	case "get":
		return f.script(ctx, t, d)
	case "status":
		r, err := f.server.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
		return jsonOf(t, r, err)
	case "nodes":
		r, err := f.server.GetNodes(ctx, &observerpb.GetNodesRequest{})
		return jsonOf(t, r, err)
	case "namespaces":
		r, err := f.server.GetNamespaces(ctx, &observerpb.GetNamespacesRequest{})
		return jsonOf(t, r, err)
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func (f *fixture) define(t *testing.T, d *datadriven.TestData) {
	var name, ip string
	d.ScanArgs(t, "name", &name)
	d.ScanArgs(t, "ip", &ip)
	if d.Cmd == "service" {
		f.service(name, ip)
		return
	}
	var workload endpoint.Workload
	if d.HasArg("workload") {
		var w string
		d.ScanArgs(t, "workload", &w)
		workload.Kind, workload.Name, _ = strings.Cut(w, "/")
	}
	labels := map[string]string{}
	if arg, ok := d.Arg("labels"); ok {
		for _, l := range arg.Vals {
			k, v, _ := strings.Cut(l, "=")
			labels[k] = v
		}
	}
	f.pod(name, ip, workload, labels)
}

func (f *fixture) script(ctx context.Context, t *testing.T, d *datadriven.TestData) string {
	req := &observerpb.GetFlowsRequest{}
	if err := prototext.Unmarshal([]byte(d.Input), req); err != nil {
		t.Fatalf("%s: %v", d.Pos, err)
	}
	responses, err := f.get(ctx, req)
	var out strings.Builder
	for _, r := range responses {
		if d.HasArg("json") {
			out.WriteString(jsonOf(t, r, nil))
		} else {
			fmt.Fprintln(&out, lineOf(r))
		}
	}
	if err != nil {
		fmt.Fprintf(&out, "%s: %s\n", status.Code(err), status.Convert(err).Message())
	}
	return out.String()
}

// lineOf prints a response as one line.
func lineOf(r *observerpb.GetFlowsResponse) string {
	at := fmt.Sprintf("%ds", r.GetTime().GetSeconds())
	if l := r.GetLostEvents(); l != nil {
		line := fmt.Sprintf("%s lost %d %s", at, l.GetNumEventsLost(), l.GetSource())
		if l.GetCpu() != nil {
			line += fmt.Sprintf(" cpu %d", l.GetCpu().GetValue())
		}
		return line
	}
	f := r.GetFlow()
	arrow := "<>"
	if f.GetIsReply() != nil {
		arrow = map[bool]string{false: "->", true: "<-"}[f.GetIsReply().GetValue()]
	}
	point := f.GetTraceObservationPoint().String()
	if f.GetEventType().GetType() == lookup.EventDrop {
		point = f.GetDropReasonDesc().String()
	}
	return fmt.Sprintf("%s %s %s %s %s %s (%s)", at,
		hostOf(f.GetIP().GetSource(), f.GetSource()), arrow, hostOf(f.GetIP().GetDestination(), f.GetDestination()),
		point, f.GetVerdict(), f.GetSummary())
}

func hostOf(address string, e *flowpb.Endpoint) string {
	if e.GetPodName() != "" {
		return e.GetNamespace() + "/" + e.GetPodName()
	}
	return address
}

// jsonOf prints a message in the one form that does not change between builds.
func jsonOf(t *testing.T, m proto.Message, err error) string {
	t.Helper()
	if err != nil {
		return fmt.Sprintf("%s: %s\n", status.Code(err), status.Convert(err).Message())
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

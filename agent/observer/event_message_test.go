package observer

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/service"
)

// TestAgentEventMessages has an event of each kind, as the tables tell them.
func TestAgentEventMessages(t *testing.T) {
	f := newFixture(t)
	log := f.newEventLog(0)
	log.Started()
	web := func(version string) endpoint.Binding {
		return endpoint.Binding{
			Endpoint:  endpoint.ForPod("prod", "shop", "web-1", map[string]string{"v": version}, nil),
			Interface: "veth7",
		}
	}
	endpoints := endpoint.NewTable("prod", log.Endpoint)
	endpoints.Set("web", web("1"), 0)
	endpoints.LinkUp(7, "veth7")
	endpoints.Set("web", web("2"), 0)
	endpoints.Remove("web", 0)
	services := service.NewTable("prod", endpoints, log.Log.Service)
	services.Replace(map[service.Frontend]service.Name{
		{Address: netip.MustParseAddr("fd00::1"), Port: 80, Protocol: 6}: {Namespace: "shop", Name: "web"},
	})
	services.Replace(nil)
	log.Policy(event.Policy{Namespace: "shop", Name: "deny", UID: "u-1", Rules: 2})
	log.Policy(event.Policy{Namespace: "shop", Name: "deny", UID: "u-1", Rules: 2, Gone: true})

	const labels = `labels:"k8s:io.cilium.k8s.policy.cluster=prod" labels:"k8s:io.kubernetes.pod.namespace=shop" `
	const policy = `labels:"k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy" labels:"k8s:io.cilium.k8s.policy.name=deny" ` +
		`labels:"k8s:io.cilium.k8s.policy.namespace=shop" labels:"k8s:io.cilium.k8s.policy.uid=u-1" `
	want := []string{
		`type:AGENT_STARTED agent_start:{time:{}}`,
		`type:ENDPOINT_CREATED endpoint_update:{id:7 ` + labels + `labels:"k8s:v=1" pod_name:"web-1" namespace:"shop"}`,
		`type:ENDPOINT_REGENERATE_SUCCESS endpoint_regenerate:{id:7 ` + labels + `labels:"k8s:v=2"}`,
		`type:ENDPOINT_DELETED endpoint_update:{id:7 ` + labels + `labels:"k8s:v=2" pod_name:"web-1" namespace:"shop"}`,
		`type:SERVICE_UPSERTED service_upsert:{id:1 frontend_address:{ip:"fd00::1" port:80} name:"web" namespace:"shop"}`,
		`type:SERVICE_DELETED service_delete:{id:1}`,
		`type:POLICY_UPDATED policy_update:{` + policy + `revision:1 rule_count:2}`,
		`type:POLICY_DELETED policy_update:{` + policy + `revision:2 rule_count:2}`,
	}
	var got []string
	err := f.server.GetAgentEvents(nil, &eventStream[observerpb.GetAgentEventsResponse]{
		ctx: t.Context(), send: func(r *observerpb.GetAgentEventsResponse) error {
			if r.GetNodeName() != "prod/node-1.example.com" || r.GetTime() == nil {
				t.Errorf("of node %q at %v", r.GetNodeName(), r.GetTime())
			}
			got = append(got, strings.ReplaceAll(prototext.MarshalOptions{}.Format(r.GetAgentEvent()), "  ", " "))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDebugEvents has requests that are told nothing: without follow they end,
// and otherwise they wait for the client to go.
func TestDebugEvents(t *testing.T) {
	for request, want := range map[string]struct {
		waits bool
		code  codes.Code
	}{
		``:                         {false, codes.OK},
		`number: 20`:               {false, codes.OK},
		`follow: true`:             {true, codes.Canceled},
		`follow: true first: true`: {false, codes.InvalidArgument},
		`since: {nanos: -1}`:       {false, codes.InvalidArgument},
	} {
		t.Run(request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				req := &observerpb.GetDebugEventsRequest{}
				if err := prototext.Unmarshal([]byte(request), req); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() {
					done <- f.server.GetDebugEvents(req, &eventStream[observerpb.GetDebugEventsResponse]{ctx: ctx})
				}()
				synctest.Wait()
				if waits := len(done) == 0; waits != want.waits {
					t.Errorf("waits: %v", waits)
				}
				cancel()
				if err := <-done; status.Code(err) != want.code {
					t.Errorf("got %v, want %v", err, want.code)
				}
			})
		})
	}
}

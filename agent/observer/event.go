package observer

import (
	"context"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/service"
)

// eventBatch is how many events are read at once.
const eventBatch = 32

// GetAgentEvents sends what happened to the agent. See the package's
// documentation for how a request's fields work together.
func (s *Server) GetAgentEvents(
	req *observerpb.GetAgentEventsRequest, stream grpc.ServerStreamingServer[observerpb.GetAgentEventsResponse],
) error {
	if err := check(req); err != nil {
		return err
	}
	log, batch := s.c.Events, make([]event.Event, eventBatch)
	for w := windowOf(req, log); w.left > 0 && w.next < w.end; {
		var read int
		read, w.next = log.Read(w.next, w.end, batch[:min(w.left, eventBatch)])
		w.left -= uint64(read)
		for i := range batch[:read] {
			switch e := &batch[i]; {
			case e.Time < w.since:
				continue
			case e.Time > w.until:
				return nil
			default:
				if err := stream.Send(s.agentEvent(e)); err != nil {
					return err
				}
			}
		}
		if read == 0 && w.next < w.end {
			if err := awaitEvent(stream.Context(), log, w.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitEvent returns when there is an event with this number.
func awaitEvent(ctx context.Context, log *event.Log, number uint64) error {
	changed := log.Changed()
	if _, next := log.Bounds(); number < next {
		return nil
	}
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-changed:
		return nil
	}
}

// GetDebugEvents tells nothing, as there is nothing to tell: see the package's
// documentation. A request that follows ends when the client does.
func (s *Server) GetDebugEvents(
	req *observerpb.GetDebugEventsRequest, stream grpc.ServerStreamingServer[observerpb.GetDebugEventsResponse],
) error {
	if err := check(req); err != nil {
		return err
	}
	if !req.GetFollow() {
		return nil
	}
	<-stream.Context().Done()
	return status.FromContextError(stream.Context().Err()).Err()
}

func (s *Server) agentEvent(e *event.Event) *observerpb.GetAgentEventsResponse {
	r := &observerpb.GetAgentEventsResponse{
		AgentEvent: &flowpb.AgentEvent{}, NodeName: s.tables.Node, Time: timestamppb.New(time.Unix(0, e.Time)),
	}
	switch what := e.What.(type) {
	case event.Started:
		r.AgentEvent.Type = flowpb.AgentEventType_AGENT_STARTED
		r.AgentEvent.Notification = &flowpb.AgentEvent_AgentStart{
			AgentStart: &flowpb.TimeNotification{Time: r.Time},
		}
	case endpoint.Change:
		endpointEvent(r.AgentEvent, what)
	case service.Change:
		serviceEvent(r.AgentEvent, &what)
	case event.Policy:
		policyEvent(r.AgentEvent, &what)
	}
	return r
}

// endpointEvent tells a new version of an endpoint as one that was regenerated,
// as Cilium does for each change of labels.
func endpointEvent(to *flowpb.AgentEvent, c endpoint.Change) {
	e := c.After
	switch {
	case c.Before == nil:
		to.Type = flowpb.AgentEventType_ENDPOINT_CREATED
	case c.After == nil:
		e, to.Type = c.Before, flowpb.AgentEventType_ENDPOINT_DELETED
	default:
		to.Type = flowpb.AgentEventType_ENDPOINT_REGENERATE_SUCCESS
		to.Notification = &flowpb.AgentEvent_EndpointRegenerate{
			EndpointRegenerate: &flowpb.EndpointRegenNotification{Id: uint64(e.ID), Labels: e.Labels},
		}
		return
	}
	to.Notification = &flowpb.AgentEvent_EndpointUpdate{EndpointUpdate: &flowpb.EndpointUpdateNotification{
		Id: uint64(e.ID), Labels: e.Labels, PodName: e.Pod, Namespace: e.Namespace,
	}}
}

func serviceEvent(to *flowpb.AgentEvent, c *service.Change) {
	if c.Gone {
		to.Type = flowpb.AgentEventType_SERVICE_DELETED
		to.Notification = &flowpb.AgentEvent_ServiceDelete{ServiceDelete: &flowpb.ServiceDeleteNotification{Id: c.ID}}
		return
	}
	to.Type = flowpb.AgentEventType_SERVICE_UPSERTED
	to.Notification = &flowpb.AgentEvent_ServiceUpsert{ServiceUpsert: &flowpb.ServiceUpsertNotification{
		Id: c.ID, Name: c.Name.Name, Namespace: c.Name.Namespace,
		FrontendAddress: &flowpb.ServiceUpsertNotificationAddr{
			Ip: c.Frontend.Address.String(), Port: uint32(c.Frontend.Port),
		},
	}}
}

// policyEvent names the policy by the labels that Cilium gives the rules that it
// makes of one.
func policyEvent(to *flowpb.AgentEvent, p *event.Policy) {
	to.Type = flowpb.AgentEventType_POLICY_UPDATED
	if p.Gone {
		to.Type = flowpb.AgentEventType_POLICY_DELETED
	}
	to.Notification = &flowpb.AgentEvent_PolicyUpdate{PolicyUpdate: &flowpb.PolicyUpdateNotification{
		Labels: []string{
			"k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy",
			"k8s:io.cilium.k8s.policy.name=" + p.Name,
			"k8s:io.cilium.k8s.policy.namespace=" + p.Namespace,
			"k8s:io.cilium.k8s.policy.uid=" + p.UID,
		},
		Revision: p.Revision, RuleCount: int64(p.Rules),
	}}
}

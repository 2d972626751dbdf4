package observer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/fovea-obs/fovea/agent/event"
	"github.com/fovea-obs/fovea/agent/service"
)

// eventStream is the server's side of a call without a connection.
type eventStream[Response any] struct {
	grpc.ServerStreamingServer[Response]
	ctx  context.Context
	send func(*Response) error
}

func (s *eventStream[Response]) Context() context.Context { return s.ctx }

func (s *eventStream[Response]) Send(r *Response) error { return s.send(r) }

// eventLog is a log of n services, of seconds 1 to n after 1970.
type eventLog struct {
	*event.Log
	written int64
}

func (f *fixture) newEventLog(n int) *eventLog {
	l := &eventLog{}
	l.Log = event.NewLog(func() int64 { return l.written * int64(time.Second) })
	l.add(n)
	f.config.Events = l.Log
	f.restart()
	return l
}

func (l *eventLog) add(n int) {
	for range n {
		l.written++
		l.Service(service.Change{ID: uint32(l.written)})
	}
}

// TestAgentEvents has, for each request, the events of seconds 1 to 5 that are
// sent, those of 6 and 7 that come later, and how it ends then.
func TestAgentEvents(t *testing.T) {
	type answer struct{ before, after, ends string }
	for request, want := range map[string]answer{
		``:                                                    {"1 2 3 4 5", "", "OK"},
		`number: 2`:                                           {"4 5", "", "OK"},
		`number: 9`:                                           {"1 2 3 4 5", "", "OK"},
		`number: 18446744073709551615`:                        {"1 2 3 4 5", "", "OK"},
		`first: true`:                                         {"1 2 3 4 5", "", "OK"},
		`first: true number: 2`:                               {"1 2", "", "OK"},
		`since: {seconds: 4}`:                                 {"4 5", "", "OK"},
		`since: {seconds: 6}`:                                 {"", "", "OK"},
		`since: {seconds: 2} number: 2`:                       {"2 3", "", "OK"},
		`since: {seconds: -5000000000}`:                       {"1 2 3 4 5", "", "OK"},
		`until: {seconds: 2}`:                                 {"1 2", "", "OK"},
		`until: {seconds: 2 nanos: 5}`:                        {"1 2", "", "OK"},
		`until: {seconds: 4} number: 2`:                       {"3 4", "", "OK"},
		`until: {seconds: 50000000000}`:                       {"1 2 3 4 5", "", "OK"},
		`until: {seconds: 4} first: true number: 9`:           {"1 2 3 4", "", "OK"},
		`since: {seconds: 2} until: {seconds: 3}`:             {"2 3", "", "OK"},
		`since: {seconds: 3} until: {seconds: 2}`:             {"", "", "OK"},
		`follow: true`:                                        {"", "6 7", "Canceled"},
		`follow: true number: 2`:                              {"4 5", "6 7", "Canceled"},
		`follow: true number: 9`:                              {"1 2 3 4 5", "6 7", "Canceled"},
		`follow: true since: {seconds: 5}`:                    {"5", "6 7", "Canceled"},
		`follow: true since: {seconds: 7}`:                    {"", "7", "Canceled"},
		`follow: true since: {seconds: 5} number: 1`:          {"5", "6 7", "Canceled"},
		`follow: true until: {seconds: 6}`:                    {"", "6", "OK"},
		`follow: true until: {seconds: 3} number: 1`:          {"3", "", "OK"},
		`follow: true until: {seconds: 9}`:                    {"", "6 7", "Canceled"},
		`first: true follow: true`:                            {"", "", "InvalidArgument first"},
		`since: {seconds: -99999999999}`:                      {"", "", "InvalidArgument since"},
		`until: {nanos: -1}`:                                  {"", "", "InvalidArgument until"},
		`since: {nanos: 1000000000} until: {nanos: -1}`:       {"", "", "InvalidArgument since"},
		`follow: true since: {nanos: -1} until: {seconds: 1}`: {"", "", "InvalidArgument since"},
	} {
		t.Run(request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				log := f.newEventLog(5)
				req := &observerpb.GetAgentEventsRequest{}
				if err := prototext.Unmarshal([]byte(request), req); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				var sent []string
				take := func() string {
					mu.Lock()
					defer mu.Unlock()
					defer func() { sent = nil }()
					return strings.Join(sent, " ")
				}
				done := make(chan error, 1)
				go func() {
					done <- f.server.GetAgentEvents(req, &eventStream[observerpb.GetAgentEventsResponse]{
						ctx: ctx, send: func(r *observerpb.GetAgentEventsResponse) error {
							mu.Lock()
							defer mu.Unlock()
							sent = append(sent, fmt.Sprint(r.GetTime().GetSeconds()))
							return nil
						},
					})
				}()
				synctest.Wait()
				got := answer{before: take()}
				log.add(1)
				synctest.Wait()
				log.add(1)
				synctest.Wait()
				cancel()
				err := <-done
				got.after, got.ends = take(), status.Code(err).String()
				if status.Code(err) == codes.InvalidArgument {
					field, _, _ := strings.Cut(status.Convert(err).Message(), ":")
					got.ends += " " + field
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		})
	}
}

// TestAgentEventsOvertaken has a client that is sent one event while the log goes
// round: those that were overwritten are passed over.
func TestAgentEventsOvertaken(t *testing.T) {
	const more = event.Size + 7
	f := newFixture(t)
	log := f.newEventLog(eventBatch + 2)
	ctx, cancel := context.WithCancel(t.Context())
	var sent []int64
	err := f.server.GetAgentEvents(&observerpb.GetAgentEventsRequest{Follow: true, Number: event.Size},
		&eventStream[observerpb.GetAgentEventsResponse]{ctx: ctx, send: func(r *observerpb.GetAgentEventsResponse) error {
			if len(sent) == 0 {
				log.add(more)
			}
			if sent = append(sent, r.GetTime().GetSeconds()); sent[len(sent)-1] == log.written {
				cancel()
			}
			return nil
		}})
	if status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	var want []int64
	for at := range log.written {
		if at < eventBatch || at >= log.written-event.Size {
			want = append(want, at+1)
		}
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
}

func TestAgentEventsSendFails(t *testing.T) {
	f := newFixture(t)
	f.newEventLog(3)
	broken := errors.New("broken")
	err := f.server.GetAgentEvents(&observerpb.GetAgentEventsRequest{}, &eventStream[observerpb.GetAgentEventsResponse]{
		ctx: t.Context(), send: func(*observerpb.GetAgentEventsResponse) error { return broken },
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

package observer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
)

// TestFollow has, for each request, what is sent of the flows there are and of
// those that come.
func TestFollow(t *testing.T) {
	for request, want := range map[string]struct {
		before, after []string
		ends          bool
	}{
		`follow: true`:                                                           {nil, []string{"3s", "4s lost", "5s"}, false},
		`follow: true number: 1`:                                                 {[]string{"2s"}, []string{"3s", "4s lost", "5s"}, false},
		`follow: true number: 9`:                                                 {[]string{"1s", "2s"}, []string{"3s", "4s lost", "5s"}, false},
		`follow: true since: {seconds: 2}`:                                       {[]string{"2s"}, []string{"3s", "4s lost", "5s"}, false},
		`follow: true since: {seconds: 5}`:                                       {nil, []string{"5s"}, false},
		`follow: true until: {seconds: 3}`:                                       {nil, []string{"3s"}, true},
		`follow: true number: 1 until: {seconds: 1}`:                             {[]string{"1s"}, nil, true},
		`follow: true number: 9 until: {seconds: 4}`:                             {[]string{"1s", "2s"}, []string{"3s", "4s lost"}, true},
		`follow: true number: 1 whitelist: {protocol: "tcp"}`:                    {[]string{"1s"}, []string{"4s lost", "5s"}, false},
		`follow: true whitelist: {uuid: "fedcba98-7654-8321-8000-000000000004"}`: {nil, []string{"5s"}, false},
		`follow: true until: {seconds: 3} whitelist: {uuid: "none"}`:             {nil, nil, true},
		`follow: true until: {seconds: 1} whitelist: {uuid: "none"}`:             {nil, nil, true},
		`follow: true until: {seconds: 9} whitelist: {uuid: "none"}`:             {nil, nil, false},
	} {
		t.Run(request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.write(t, "tcp 192.0.2.1:1 -> 192.0.2.2:2", "udp 192.0.2.1:1 -> 192.0.2.2:2")
				req := &observerpb.GetFlowsRequest{}
				if err := prototext.Unmarshal([]byte(request), req); err != nil {
					t.Fatal(err)
				}
				follower := f.follow(t.Context(), req)
				synctest.Wait()
				if diff := cmp.Diff(want.before, follower.take()); diff != "" {
					t.Errorf("of those there were: %s", diff)
				}
				f.write(t, "udp 192.0.2.1:1 -> 192.0.2.2:2", "lost 1 cpu=1", "tcp 192.0.2.1:1 -> 192.0.2.2:2")
				synctest.Wait()
				if diff := cmp.Diff(want.after, follower.take()); diff != "" {
					t.Errorf("of those that came: %s", diff)
				}
				wantErr := codes.OK
				if !want.ends {
					wantErr = codes.Canceled
				}
				follower.cancel()
				if got := status.Code(<-follower.done); got != wantErr {
					t.Errorf("ended with %v, want %v", got, wantErr)
				}
			})
		})
	}
}

// follower is a call that collects what it is sent.
type follower struct {
	cancel context.CancelFunc
	done   chan error

	mu  sync.Mutex
	got []string
}

func (f *fixture) follow(ctx context.Context, req *observerpb.GetFlowsRequest) *follower {
	ctx, cancel := context.WithCancel(ctx)
	out := &follower{cancel: cancel, done: make(chan error, 1)}
	go func() {
		out.done <- f.server.GetFlows(req, &stream{ctx: ctx, send: func(r *observerpb.GetFlowsResponse) error {
			out.mu.Lock()
			defer out.mu.Unlock()
			line := fmt.Sprintf("%ds", r.GetTime().GetSeconds())
			if r.GetLostEvents() != nil {
				line += " lost"
			}
			out.got = append(out.got, line)
			return nil
		}})
	}()
	return out
}

func (f *follower) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

// TestOvertaken lets the writer go round the ring while a response is sent.
func TestOvertaken(t *testing.T) {
	f := newFixture(t)
	const start = 10
	f.fill(start)
	var got []string
	overtake := true
	err := f.server.GetFlows(&observerpb.GetFlowsRequest{First: true}, &stream{
		ctx: t.Context(),
		send: func(r *observerpb.GetFlowsResponse) error {
			if overtake {
				overtake = false
				f.fill(3*history.ChunkSize - start)
			}
			got = append(got, lineOf(r))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The request ends with the ten records that were there at its start, and
	// all of them were copied before the first was sent.
	if len(got) != start {
		t.Errorf("got %d responses, want %d", len(got), start)
	}

	// A slow follower, however, is overtaken, and told so once.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lost, flows, before uint64
	begin, total := f.history.Oldest(), uint64(0)
	overtake = true
	err = f.server.GetFlows(&observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(time.Unix(0, 1))}, &stream{
		ctx: ctx,
		send: func(r *observerpb.GetFlowsResponse) error {
			if overtake {
				overtake = false
				f.fill(3 * history.ChunkSize)
				total = f.history.Next() - begin
			}
			if l := r.GetLostEvents(); l != nil {
				lost += l.GetNumEventsLost()
				before = flows
				if l.GetSource() != flowpb.LostEventSource_HUBBLE_RING_BUFFER {
					t.Errorf("source %v", l.GetSource())
				}
				oldest, _ := timeOf(f.history, f.history.Oldest())
				if r.GetTime().AsTime().UnixNano() != oldest-1 {
					t.Errorf("told at %v, want just before the oldest record left", r.GetTime().AsTime())
				}
			} else {
				flows++
			}
			if lost+flows == total {
				cancel()
			}
			return nil
		},
	})
	if status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	if before == 0 || lost == 0 || lost+flows != total {
		t.Errorf("%d flows before the loss, %d lost, %d flows of %d", before, lost, flows, total)
	}
}

// fill appends so many records.
func (f *fixture) fill(n int) {
	for range n {
		f.append(history.Record{Kind: history.KindTrace, Protocol: lookup.ProtoUDP})
	}
	f.history.Notify()
}

// TestOvertakenAtTheEnd has all that was asked for overwritten.
func TestOvertakenAtTheEnd(t *testing.T) {
	f := newFixture(t)
	const total = 1000
	f.fill(total)
	var lost, flows uint64
	err := f.server.GetFlows(&observerpb.GetFlowsRequest{}, &stream{
		ctx: t.Context(),
		send: func(r *observerpb.GetFlowsResponse) error {
			if flows == 0 {
				f.fill(3 * history.ChunkSize)
			}
			if l := r.GetLostEvents(); l != nil {
				lost += l.GetNumEventsLost()
			} else {
				flows++
			}
			return nil
		},
	})
	if err != nil || flows == 0 || lost == 0 || flows+lost != total {
		t.Errorf("%d flows, %d lost, %v: want %d in all", flows, lost, err, total)
	}
}

// TestSendFails ends a call with the stream's own error.
func TestSendFails(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	broken := errors.New("broken")
	err := f.server.GetFlows(&observerpb.GetFlowsRequest{}, &stream{
		ctx: t.Context(), send: func(*observerpb.GetFlowsResponse) error { return broken },
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestManyFollowers has readers of all kinds beside a writer that goes round
// the ring: what each gets and what it is told to have lost is all there was.
func TestManyFollowers(t *testing.T) {
	f := newFixture(t)
	const records, followers = 10 * history.ChunkSize, 8
	var running, started sync.WaitGroup
	for range followers {
		ctx, cancel := context.WithCancel(t.Context())
		started.Add(1)
		running.Go(func() {
			defer cancel()
			first, last, lost, flows := uint64(0), int64(0), uint64(0), uint64(0)
			err := f.server.GetFlows(&observerpb.GetFlowsRequest{Follow: true, Number: 1}, &stream{
				ctx: ctx,
				send: func(r *observerpb.GetFlowsResponse) error {
					if last == 0 {
						first = f.sequence(t, r.GetFlow())
						started.Done()
					}
					at := r.GetTime().AsTime().UnixNano()
					if l := r.GetLostEvents(); l != nil {
						lost += l.GetNumEventsLost()
					} else {
						flows++
						if at <= last {
							t.Errorf("time %d after %d", at, last)
						}
					}
					last = at
					if first+lost+flows == records {
						cancel()
					}
					return nil
				},
			})
			if status.Code(err) != codes.Canceled {
				t.Errorf("ended with %v", err)
			}
		})
	}
	f.fill(1)
	started.Wait()
	f.fill(records - 1)
	running.Wait()
}

// TestFollowWaitsForNames checks that a stream that follows waits for a flow whose
// ends may still be told of, and one that does not follow has it at once.
func TestFollowWaitsForNames(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(f *fixture)
		want string
	}{
		"told": {func(f *fixture) {
			f.endpoints.SetFarAddresses(7, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, 0)
			f.endpoints.Set("web", endpoint.Binding{
				Endpoint:  endpoint.ForPod("prod", "shop", "web", nil, nil),
				Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Local: true,
			}, 0)
		}, "web"},
		"not told": {func(f *fixture) { f.written.Add(5) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.endpoints.Await(35 * time.Second)
				f.endpoints.LinkUp(7, "veth7")
				follower := f.follow(t.Context(), &observerpb.GetFlowsRequest{Follow: true})
				synctest.Wait()
				local, _ := f.endpoints.Ends(7, netip.MustParseAddr("198.51.100.1"), int64(2*time.Second))
				f.write(t, "udp 192.0.2.1:1 -> 192.0.2.2:2", "udp 192.0.2.1:1 -> 192.0.2.2:2")
				f.append(history.Record{Kind: history.KindTrace, Source: uint32(local)})
				f.history.Notify()
				synctest.Wait()
				if diff := cmp.Diff([]string{"1s"}, follower.take()); diff != "" {
					t.Errorf("before it is known: %s", diff)
				}
				if got, err := f.get(t.Context(), &observerpb.GetFlowsRequest{Number: 9}); len(got) != 3 || err != nil {
					t.Errorf("without follow, %d flows: %v", len(got), err)
				}
				tt.then(f)
				f.history.Notify()
				synctest.Wait()
				if diff := cmp.Diff([]string{"2s", "3s"}, follower.take()); diff != "" {
					t.Errorf("after it: %s", diff)
				}
				if got := f.endpoints.At(local).Pod; got != tt.want {
					t.Errorf("the flow is of pod %q, want %q", got, tt.want)
				}
				follower.cancel()
				<-follower.done
			})
		})
	}
}

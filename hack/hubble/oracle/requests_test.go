package oracle

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/fovea-obs/fovea/agent/history"
)

// requests are those of each history. Of all, a quarter follow and a tenth are
// refused, and 130,000 responses are sent.
const requests = 120

// TestRequests asks of histories that hold so many records: of two chunks, the
// last two have begun anew.
func TestRequests(t *testing.T) {
	for part, records := range []int{0, 1, 7, 500, 2 * history.ChunkSize, 2*history.ChunkSize + 900, 5*history.ChunkSize - 1} {
		t.Run(fmt.Sprint(records), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				askHistory(t, part, records)
			})
		})
	}
}

func askHistory(t *testing.T, part, records int) {
	r := newRand(t, 100+part)
	a := &asker{node: newNode(t, []string{"prod", "default"}[part%2], history.MinSize), judge: newJudge()}
	a.write(r, records)
	a.sent = a.read(t, 0)
	a.generator = newGenerator(r, a.universe, nil)
	for range requests {
		a.ask(t)
	}
	if a.refused == 0 || a.refused > requests/3 || a.ended == 0 || a.followed == 0 {
		t.Errorf("of %d requests %d refused, %d followed, %d of those ended by until", requests, a.refused, a.followed, a.ended)
	}
	t.Logf("%d refused, %d followed, %d of those ended by until; %d responses", a.refused, a.followed, a.ended, a.responses)
}

// asker sends requests to a node.
type asker struct {
	*node
	*generator
	judge *judge
	// sent is what the node answers to a request for everything.
	sent []*observerpb.GetFlowsResponse

	refused, followed, ended, responses, failures int
}

// ask sends one request and holds the answer against the reference's.
func (a *asker) ask(t *testing.T) {
	t.Helper()
	req := wire(t, a.request())
	faults, passes := a.faults(t.Context(), req)
	check := func(err error) {
		if err != nil {
			t.Errorf("%s\n%v", prototext.MarshalOptions{}.Format(req), err)
			if a.failures++; a.failures == mostFailures {
				t.FailNow()
			}
		}
	}
	switch {
	case len(faults) > 0:
		a.refused++
		// One that is taken all the same must not follow for ever.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := a.get(ctx, req)
		check(refusal(got, err, faults))
	case req.GetFollow():
		a.followed++
		check(a.follow(t, req, passes))
	default:
		got, err := a.get(t.Context(), req)
		if err != nil {
			check(fmt.Errorf("refused: %w", err))
		}
		ref := &reference{a.sent, passes}
		want, _ := ref.answer(req, ref.start(req))
		a.responses += len(want)
		check(differ(got, want, req))
	}
}

// faults are the fields for which a request is to be refused. If there are
// none, passes is what passes its filters.
func (a *asker) faults(ctx context.Context, req *observerpb.GetFlowsRequest) (
	fields []string, passes func(*observerpb.GetFlowsResponse) bool,
) {
	if req.GetFirst() && req.GetFollow() {
		fields = append(fields, "first")
	}
	if req.GetSince() != nil && !req.GetSince().IsValid() {
		fields = append(fields, "since")
	}
	if req.GetUntil() != nil && !req.GetUntil().IsValid() {
		fields = append(fields, "until")
	}
	if m := req.GetFieldMask(); m != nil && !m.IsValid(&flowpb.Flow{}) {
		fields = append(fields, "field_mask")
	}
	v := a.judge.judge(ctx, req)
	for p := range v.refused {
		fields = append(fields, fmt.Sprintf("%s[%d]", p.list, p.index))
	}
	byUUID := len(req.GetWhitelist()) > 0
	for _, f := range req.GetWhitelist() {
		byUUID = byUUID && len(f.GetUuid()) > 0
	}
	return fields, func(r *observerpb.GetFlowsResponse) bool {
		if r.GetFlow() == nil {
			// A look-up by uuid passes losses over.
			return !byUUID
		}
		return v.passes(r.GetFlow())
	}
}

// refusal returns what is wrong with the answer to a request with faults.
func refusal(got []*observerpb.GetFlowsResponse, err error, faults []string) error {
	if status.Code(err) != codes.InvalidArgument || len(got) > 0 {
		return fmt.Errorf("%d responses, ended with %v, but is not valid for %q", len(got), err, faults)
	}
	for _, field := range faults {
		if strings.HasPrefix(status.Convert(err).Message(), field) {
			return nil
		}
	}
	return fmt.Errorf("refused with %w, but is not valid for %q", err, faults)
}

// differ returns where an answer is not the one that is wanted.
func differ(got, want []*observerpb.GetFlowsResponse, req *observerpb.GetFlowsRequest) error {
	for i := range min(len(got), len(want)) {
		if w := masked(want[i], req.GetFieldMask().GetPaths()); !proto.Equal(w, got[i]) {
			return fmt.Errorf("response %d: %s", i, cmp.Diff(w, got[i], protocmp.Transform()))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d responses, want %d", len(got), len(want))
	}
	return nil
}

// follow has a request follow, first what there is and then what comes.
func (a *asker) follow(t *testing.T, req *observerpb.GetFlowsRequest, passes func(*observerpb.GetFlowsResponse) bool) error {
	ref := &reference{a.sent, passes}
	start := ref.start(req)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var got []*observerpb.GetFlowsResponse
	done := make(chan error, 1)
	go func() {
		done <- a.server.GetFlows(req, &stream{ctx: ctx, send: func(r *observerpb.GetFlowsResponse) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r)
		}})
	}()
	// step holds what came so far against what should have.
	step := func() (ends bool, err error) {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want, ends := ref.answer(req, start)
		if err := differ(got, want, req); err != nil {
			return ends, err
		}
		if ended := len(done) > 0; ended != ends {
			return ends, fmt.Errorf("it is %v that it ended, want %v, after %d responses", ended, ends, len(got))
		}
		return ends, nil
	}
	if _, err := step(); err != nil {
		cancel()
		<-done
		return err
	}
	was := len(a.records)
	a.write(a.Rand, a.IntN(20))
	ref.sent = append(ref.sent, a.read(t, was)...)
	ends, err := step()
	cancel()
	code := status.Code(<-done)
	a.sent = ref.sent[max(0, len(ref.sent)-len(a.records)+int(a.history.Oldest())):]
	a.responses += len(got)
	if ends {
		a.ended++
	}
	switch {
	case err != nil:
		return err
	case ends && code != codes.OK, !ends && code != codes.Canceled:
		return fmt.Errorf("ended with %v", code)
	}
	return nil
}

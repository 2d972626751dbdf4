package ingest

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/bpf"
)

// newJudged returns an ingest whose node has shop/web and shop/db, both with a
// policy that lets them be sent to port 80 only, and with one that lets them send to
// 10.1.0.3:8080 only; the same goes for shop/api on another node.
func newJudged(t *testing.T) *Ingest {
	in := newIngest(t)
	all := policy.Pods{Namespace: "shop"}
	in.Policies.Set(policy.Policy{
		Ref: policy.Ref{Kind: policy.Network, Namespace: "shop", Name: "in"}, Subject: all,
		Ingress: policy.Part{Applies: true, Rules: []policy.Rule{{Ports: []policy.Port{{First: 80, Last: 80}}}}},
	})
	in.Policies.Set(policy.Policy{
		Ref: policy.Ref{Kind: policy.Network, Namespace: "shop", Name: "out"}, Subject: all,
		Egress: policy.Part{Applies: true, Rules: []policy.Rule{{
			Peers: []policy.Peer{{Block: &policy.Block{Prefix: netip.MustParsePrefix("10.1.0.3/32")}}},
			Ports: []policy.Port{{Protocol: tcp, First: 8080, Last: 8080}},
		}}},
	})
	return in
}

// told are the records as they show what policies say of them.
func (in *Ingest) told(t *testing.T) (lines []string) {
	t.Helper()
	for _, r := range in.records(t) {
		line := map[history.Kind]string{history.KindTrace: "trace", history.KindDrop: "drop", history.KindPolicy: "policy"}[r.Kind]
		line += fmt.Sprintf(" %s %s, %d packets", []string{"", "forwarded", "dropped"}[r.Verdict], []string{"unknown", "ingress", "egress"}[r.Direction], r.Packets)
		f := in.Fates.At(r.Fate)
		v := in.Policies.At(f.Policy)
		for _, end := range []struct {
			part bool
			d    policy.Decision
		}{{f.Egress, v.Egress}, {f.Ingress, v.Ingress}} {
			if end.part {
				line += fmt.Sprintf(", %s by %v", []string{"?", "allowed", "denied"}[end.d.Result], end.d.By)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

const (
	syn = 1 << 1
	ack = 1 << 4
)

// event is "trace 10.1.0.1:1 to 10.1.0.3:80", of a connection's first packet.
type event struct {
	what   string
	iface  uint32
	flags  uint8
	change func(*bpf.FoveaEvent)
}

// kernel is the event as the kernel tells it.
func (e event) kernel(t *testing.T) *bpf.FoveaEvent {
	words := strings.Fields(e.what)
	out := eventOf(words[1], words[3], e.iface, e.flags)
	out.Packets, out.Reply, out.TcpFlags = 3, uint8(bpf.FoveaReplyREPLY_NO), syn
	out.Cause = uint8(bpf.FoveaEventCauseCAUSE_NEW)
	if words[0] == "drop" {
		out.Kind, out.DropReason = uint8(bpf.FoveaEventKindEVENT_DROP), reasonNetfilter
		out.Cause = uint8(bpf.FoveaEventCauseCAUSE_PACKET)
	}
	if e.change != nil {
		e.change(out)
	}
	return out
}

func TestPolicy(t *testing.T) {
	asUDP := func(e *bpf.FoveaEvent) { e.Protocol, e.TcpFlags = udp, 0 }
	for name, tt := range map[string]struct {
		event event
		want  []string
	}{
		"let out": {event{"trace 10.1.0.1:1 to 10.1.0.3:8080", ifWeb, from | local, nil}, []string{
			"trace forwarded egress, 3 packets", "policy forwarded egress, 0 packets, allowed by [shop/out]"}},
		"let in": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, nil}, []string{
			"trace forwarded ingress, 3 packets", "policy forwarded ingress, 0 packets, allowed by [shop/in]"}},
		"let in by UDP": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, asUDP}, []string{
			"trace forwarded ingress, 3 packets", "policy forwarded ingress, 0 packets, allowed by [shop/in]"}},
		"packet by packet": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, func(e *bpf.FoveaEvent) {
			e.Cause = uint8(bpf.FoveaEventCauseCAUSE_PACKET)
		}}, []string{"trace forwarded ingress, 3 packets", "policy forwarded ingress, 0 packets, allowed by [shop/in]"}},
		"nothing new": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, func(e *bpf.FoveaEvent) {
			e.Cause = uint8(bpf.FoveaEventCauseCAUSE_INTERVAL)
		}}, []string{"trace forwarded ingress, 3 packets"}},
		"there before": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, func(e *bpf.FoveaEvent) { e.TcpFlags = ack }},
			[]string{"trace forwarded ingress, 3 packets"}},
		"an answer": {event{"trace 10.1.0.3:80 to 10.1.0.1:80", ifWeb, local, func(e *bpf.FoveaEvent) {
			e.Reply, e.TcpFlags = uint8(bpf.FoveaReplyREPLY_YES), syn|ack
		}}, []string{"trace forwarded egress, 3 packets"}},
		"a guess": {event{"trace 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local | guessed, asUDP},
			[]string{"trace forwarded ingress, 3 packets"}},
		// Not enforced, or not yet, or no longer.
		"seen all the same": {event{"trace 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, nil},
			[]string{"trace forwarded ingress, 3 packets"}},
		"nobody selected": {event{"trace 10.1.0.66:1 to 198.51.100.1:80", ifNobody, from | local, nil},
			[]string{"trace forwarded egress, 3 packets"}},
		"of no protocol that policies know": {event{"trace 10.1.0.3:8 to 10.1.0.1:0", ifWeb, local, func(e *bpf.FoveaEvent) { e.Protocol = icmp }},
			[]string{"trace forwarded ingress, 3 packets"}},

		"not let out": {event{"drop 10.1.0.1:1 to 10.1.0.3:80", ifWeb, from | local, nil}, []string{
			"drop dropped egress, 3 packets, denied by [shop/out]",
			"policy dropped egress, 0 packets, denied by [shop/out]"}},
		"not let in": {event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, nil}, []string{
			"drop dropped ingress, 3 packets, denied by [shop/in]",
			"policy dropped ingress, 0 packets, denied by [shop/in]"}},
		"not let in, at the network's interface": {event{"drop 10.1.0.3:1 to 10.1.0.1:81", 2, from, nil}, []string{
			"drop dropped ingress, 3 packets, denied by [shop/in]",
			"policy dropped ingress, 0 packets, denied by [shop/in]"}},
		"not let in where it was sent": {event{"drop 10.1.0.66:1 to 10.1.0.1:81", ifNobody, from | local, nil}, []string{
			"drop dropped ingress, 3 packets, denied by [shop/in]",
			"policy dropped ingress, 0 packets, denied by [shop/in]"}},
		"neither here nor there": {event{"drop [fd00::2]:1 to 10.1.0.1:81", ifDB, from | local, nil}, []string{
			"drop dropped egress, 3 packets, denied by [shop/out], denied by [shop/in]",
			"policy dropped egress, 0 packets, denied by [shop/out], denied by [shop/in]"}},
		"more of it": {event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, func(e *bpf.FoveaEvent) {
			e.Cause = uint8(bpf.FoveaEventCauseCAUSE_INTERVAL)
		}}, []string{"drop dropped ingress, 3 packets, denied by [shop/in]"}},
		"in the midst of it": {event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, func(e *bpf.FoveaEvent) { e.TcpFlags = ack }},
			[]string{"drop dropped ingress, 3 packets, denied by [shop/in]"}},
		"dropped by no rule": {event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, func(e *bpf.FoveaEvent) { e.DropReason = 3 }},
			[]string{"drop dropped ingress, 3 packets"}},
		// The other node's policies deny it, and that node would have dropped it.
		"dropped though policies here let it in": {event{"drop 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, nil},
			[]string{"drop dropped ingress, 3 packets"}},
		"an answer that is dropped": {event{"drop 10.1.0.1:81 to 10.1.0.3:1", ifWeb, from | local, func(e *bpf.FoveaEvent) {
			e.Reply, e.TcpFlags = uint8(bpf.FoveaReplyREPLY_YES), syn|ack
		}}, []string{"drop dropped ingress, 3 packets"}},
		"a later fragment": {event{"drop 10.1.0.3:0 to 10.1.0.1:0", ifWeb, local | noPorts, nil},
			[]string{"drop dropped ingress, 3 packets"}},
		"ICMP that is dropped": {event{"drop 10.1.0.3:8 to 10.1.0.1:0", ifWeb, local, func(e *bpf.FoveaEvent) { e.Protocol = icmp }},
			[]string{"drop dropped ingress, 3 packets"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := newJudged(t)
			in.Event(tt.event.kernel(t), second(200))
			if diff := cmp.Diff(tt.want, in.told(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFullTable has a packet dropped that a policy denies, too, while the kernel's table
// of connections is full: it did not get as far as the policy.
func TestFullTable(t *testing.T) {
	in := newJudged(t)
	full := true
	in.IsTableFull = func(e *bpf.FoveaEvent) bool { return full && e.Flags&local != 0 }
	drop := event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, nil}
	in.Event(drop.kernel(t), second(200))
	full = false
	in.Event(drop.kernel(t), second(201))
	want := []string{"drop dropped ingress, 3 packets", "drop dropped ingress, 3 packets, denied by [shop/in]",
		"policy dropped ingress, 0 packets, denied by [shop/in]"}
	if diff := cmp.Diff(want, in.told(t)); diff != "" {
		t.Error(diff)
	}
	for i, r := range in.records(t) {
		if got, want := in.Fates.At(r.Fate).TableFull, i == 0; got != want {
			t.Errorf("record %d says of a full table: %v, want %v", i, got, want)
		}
	}
}

// TestEngine has an engine say of a drop by which policy it is.
func TestEngine(t *testing.T) {
	const inward, outward, other = "DROP by policy shop/in", "DROP by policy shop/out", "DROP by policy bank/other"
	for name, tt := range map[string]struct {
		what   string
		iface  uint32
		flags  uint8
		logged string
		want   string
	}{
		"as inferred":        {"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, inward, "ingress: shop/in by kube-router"},
		"one of two":         {"drop [fd00::2]:1 to 10.1.0.1:81", ifDB, from | local, inward, "ingress: shop/in by kube-router"},
		"the other":          {"drop [fd00::2]:1 to 10.1.0.1:81", ifDB, from | local, outward, "egress: shop/out by kube-router"},
		"let in by another":  {"drop 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, inward, "ingress"},
		"a policy not known": {"drop 10.1.0.1:1 to 10.1.0.3:80", ifWeb, from | local, other, "egress: bank/other by kube-router"},
		"of nobody known":    {"drop 198.51.100.1:1 to 198.51.100.2:1", ifUnknown, from, other, "ingress: bank/other by kube-router"},
		"no engine's words":  {"drop 10.1.0.3:1 to 10.1.0.1:80", ifWeb, local, "dropped", "ingress"},
	} {
		t.Run(name, func(t *testing.T) {
			in := newJudged(t)
			in.Logged = func(*bpf.FoveaEvent) string { return tt.logged }
			in.Event(event{tt.what, tt.iface, tt.flags, func(e *bpf.FoveaEvent) { e.TcpFlags = ack }}.kernel(t), second(1))
			r := in.last(t)
			f := in.Fates.At(r.Fate)
			got := []string{"unknown", "ingress", "egress"}[r.Direction]
			if f.Judged() {
				got += ": " + f.Said.Policy.String() + " by " + f.Said.Engine
			}
			if got != tt.want || f.Judged() && f.Egress == f.Ingress {
				t.Errorf("%s (%+v), want %s", got, f, tt.want)
			}
		})
	}
}

// TestPolicyBehindService asks policies for the pod behind a Service, at its own
// port, once that is known.
func TestPolicyBehindService(t *testing.T) {
	in, kernel := newJudged(t), &tracking{server: "10.1.0.3"}
	in.Translate = kernel.translate
	in.Event(event{"trace 10.1.0.1:40000 to 10.96.0.1:80", ifWeb, from | local, nil}.kernel(t), second(1))
	in.Event(event{"trace 10.1.0.3:40000 to 10.1.0.1:80", ifWeb, local, nil}.kernel(t), second(1))
	if got := in.told(t); len(got) > 0 {
		t.Errorf("before the kernel is asked: %v", got)
	}
	in.Flush(math.MaxInt64)
	want := []string{
		"trace forwarded egress, 3 packets", "policy forwarded egress, 0 packets, allowed by [shop/out]",
		"trace forwarded ingress, 3 packets", "policy forwarded ingress, 0 packets, allowed by [shop/in]",
	}
	if diff := cmp.Diff(want, in.told(t)); diff != "" {
		t.Error(diff)
	}
}

// TestPolicyHeldBack has a drop wait for another connection, of which the kernel is
// asked.
func TestPolicyHeldBack(t *testing.T) {
	in, kernel := newJudged(t), &tracking{server: "10.1.0.3"}
	in.Translate = kernel.translate
	in.Event(event{"trace 10.1.0.1:40000 to 10.96.0.1:80", ifWeb, from | local, nil}.kernel(t), second(1))
	in.Event(event{"drop 10.1.0.1:1 to 10.1.0.3:80", ifWeb, from | local, nil}.kernel(t), second(1))
	in.Event(event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, nil}.kernel(t), second(1))
	in.Flush(math.MaxInt64)
	want := []string{
		"trace forwarded egress, 3 packets", "policy forwarded egress, 0 packets, allowed by [shop/out]",
		"drop dropped egress, 3 packets, denied by [shop/out]", "policy dropped egress, 0 packets, denied by [shop/out]",
		"drop dropped ingress, 3 packets, denied by [shop/in]", "policy dropped ingress, 0 packets, denied by [shop/in]",
	}
	if diff := cmp.Diff(want, in.told(t)); diff != "" {
		t.Error(diff)
	}
}

// TestPolicyKept checks that a verdict is kept for as long as a record has it, and no
// longer.
func TestPolicyKept(t *testing.T) {
	in := newJudged(t)
	in.Event(event{"drop 10.1.0.3:1 to 10.1.0.1:81", ifWeb, local, nil}.kernel(t), second(1))
	kept := in.Fates.At(in.last(t).Fate).Policy
	gone := in.Policies.Judge(policy.Query{Source: endpoint.Number(in.last(t).Destination), Destination: endpoint.World, Protocol: tcp, DestinationPort: 9})
	if kept == gone {
		t.Fatal("both connections have one verdict")
	}
	in.release()
	if v := in.Policies.At(kept); v.Ingress.Result != policy.Denied {
		t.Errorf("the verdict of a record is %+v now", v)
	}
	if v := in.Policies.At(gone); v.Egress.Result != policy.Unknown {
		t.Errorf("the verdict of no record is still %+v", v)
	}
}

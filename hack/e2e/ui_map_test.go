package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
)

// uiMap is what Hubble UI draws of flows.
type uiMap struct {
	flows int
	seen  map[string]bool // links
	// captions are those of cards by key, keys the other way around.
	captions, keys map[string]map[string]bool
	// taken are the times of each node at which a flow was.
	taken      map[string]map[time.Time]bool
	complaints []string
}

func newUIMap() *uiMap {
	return &uiMap{
		seen: map[string]bool{}, captions: map[string]map[string]bool{}, keys: map[string]map[string]bool{},
		taken: map[string]map[time.Time]bool{},
	}
}

// uiCard is what the page draws an end as: the key tells cards apart, and people read the
// caption.
type uiCard struct{ key, caption string }

// uiAppLabels are those of which one is a card's caption, without what may be before them.
var uiAppLabels = []string{"app", "name", "functionName", "k8s-app", "app.kubernetes.io/name"}

// uiCardOf is the card of an end that has these names. What is not known by an identity
// is another card on either side.
func uiCardOf(e *flowpb.Endpoint, names []string, side string) uiCard {
	c := uiCard{key: fmt.Sprint(e.GetIdentity()), caption: "Unknown App"}
	if w := e.GetWorkloads(); len(w) > 0 {
		c.caption = w[0].GetName()
	}
	for _, l := range e.GetLabels() {
		key, value, _ := strings.Cut(strings.TrimPrefix(l, "k8s:"), "=")
		if slices.Contains(uiAppLabels, key) {
			c.caption = value
		} else if reserved, is := strings.CutPrefix(l, "reserved:"); is {
			c.caption = reserved
		}
	}
	if isWorld(e) && len(names) > 0 {
		c.caption = names[0]
	}
	if e.GetNamespace() != "" {
		c.caption = e.GetNamespace() + "/" + c.caption
	}
	if isWorld(e) || e.GetIdentity() == 0 {
		c.key = "world, " + side
		if w := e.GetWorkloads(); len(w) > 0 {
			c.key = w[0].GetKind() + "/" + w[0].GetName()
		} else if len(names) > 0 {
			c.key = names[0] + ", " + side
		}
	}
	return c
}

func isWorld(e *flowpb.Endpoint) bool { return slices.Contains(e.GetLabels(), "reserved:world") }

// add draws a flow, and notes what is wrong with it.
func (m *uiMap) add(r *observerpb.GetFlowsResponse) {
	m.flows++
	f := r.GetFlow()
	need := func(ok bool, what string) {
		if !ok {
			m.complaints = append(m.complaints, fmt.Sprintf("%s: %v", what, f))
		}
	}
	at, node := f.GetTime().AsTime(), f.GetNodeName()
	need(node != "" && node == r.GetNodeName() && at.Equal(r.GetTime().AsTime()), "another time or node than its envelope")
	need(!m.taken[node][at], "a second flow of a node's time")
	note(m.taken, node, at)
	need(f.GetIsReply() != nil && !f.GetIsReply().GetValue(), "a reply, or it is not known whether")
	need(f.GetL4().GetProtocol() != nil, "no l4")
	need(f.GetSource() != nil && f.GetDestination() != nil, "an end is missing")
	need(f.GetSource().GetNamespace() != "" || f.GetDestination().GetNamespace() != "", "no namespace")
	need(f.GetDestinationService() == nil || !isWorld(f.GetDestination()) && len(f.GetDestinationNames()) == 0, "a service that is outside")
	from := m.card(f.GetSource(), f.GetSourceNames(), "sender", need)
	to := m.card(f.GetDestination(), f.GetDestinationNames(), "receiver", need)
	m.seen[fmt.Sprintf("%s > %s %s %v", from, to, uiPort(f.GetL4()), f.GetVerdict())] = true
}

// card draws an end and returns its caption.
func (m *uiMap) card(e *flowpb.Endpoint, names []string, side string, need func(bool, string)) string {
	c := uiCardOf(e, names, side)
	need(c.caption != "Unknown App", "an end has no caption")
	need(isWorld(e) == (e.GetIdentity() == 2), "the world's identity at another, or another at the world")
	need(isWorld(e) || len(names) == 0, "names of somebody inside")
	need((e.GetNamespace() != "") == (e.GetIdentity() > 255), "an identity that is reserved, or no namespace")
	for _, n := range names {
		need(!strings.HasSuffix(n, ".cluster.local"), "a name that is hidden")
	}
	note(m.captions, c.key, c.caption)
	if isWorld(e) {
		// One that sends and one that receives are two cards of a caption.
		note(m.keys, c.caption+", "+side, c.key)
	} else {
		note(m.keys, c.caption, c.key)
	}
	return c.caption
}

// note adds to the values of a key.
func note[K, V comparable](all map[K]map[V]bool, key K, value V) {
	if all[key] == nil {
		all[key] = map[V]bool{}
	}
	all[key][value] = true
}

// uiPort is what of a protocol tells links apart.
func uiPort(l *flowpb.Layer4) string {
	switch p := l.GetProtocol().(type) {
	case *flowpb.Layer4_TCP:
		return fmt.Sprintf("TCP %d", p.TCP.GetDestinationPort())
	case *flowpb.Layer4_UDP:
		return fmt.Sprintf("UDP %d", p.UDP.GetDestinationPort())
	case *flowpb.Layer4_ICMPv4:
		return "ICMPv4 0"
	case *flowpb.Layer4_ICMPv6:
		return "ICMPv6 0"
	}
	return "other 0"
}

// judge fails the test for what was wrong with flows, and where a card is not the same
// everywhere.
func (m *uiMap) judge(t *testing.T) {
	t.Helper()
	complain(t, m.complaints)
	for key, captions := range m.captions {
		if len(captions) != 1 {
			t.Errorf("card %s is called %v", key, captions)
		}
	}
	for caption, keys := range m.keys {
		if len(keys) != 1 {
			t.Errorf("%s is the cards %v", caption, keys)
		}
	}
}

// links are those that are drawn, in order.
func (m *uiMap) links() []string { return slices.Sorted(maps.Keys(m.seen)) }

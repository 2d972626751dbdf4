package cel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// webFlow is a flow from pod web-1, with so many labels, to a database.
func webFlow(labels int) *flowpb.Flow {
	f := &flowpb.Flow{
		Time:    timestamppb.New(time.Date(2026, 3, 4, 23, 30, 0, 0, time.UTC)),
		Verdict: flowpb.Verdict_DROPPED,
		IP:      &flowpb.IP{Source: "10.1.0.2", Destination: "10.2.0.9"},
		L4:      &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{SourcePort: 40000, DestinationPort: 5432}}},
		Source: &flowpb.Endpoint{
			Namespace: "shop", PodName: "web-1", Workloads: []*flowpb.Workload{{Name: "web", Kind: "Deployment"}},
		},
		Destination: &flowpb.Endpoint{Namespace: "data", PodName: "db-0"},
		IsReply:     wrapperspb.Bool(false),
	}
	for i := range labels {
		f.Source.Labels = append(f.Source.Labels, fmt.Sprintf("k8s:example.com/label-of-a-usual-length=%d", i))
		f.Destination.Labels = append(f.Destination.Labels, fmt.Sprintf("k8s:example.com/label-of-a-usual-length=%d", -i-1))
	}
	return f
}

func compileAll(t testing.TB, expressions ...string) *Program {
	t.Helper()
	return compileWith(t, NewCompiler(), expressions...)
}

func compileWith(t testing.TB, c *Compiler, expressions ...string) *Program {
	t.Helper()
	p, err := c.Compile(expressions)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	compiler, f := NewCompiler(), webFlow(3)
	for name, tt := range map[string]struct {
		expressions []string
		want        bool
	}{
		"none":                        {nil, false},
		"constant":                    {[]string{"true"}, true},
		"bad constant":                {[]string{"int('x') == 1"}, false},
		"bad constant, not asked":     {[]string{"true || int('x') == 1"}, true},
		"enum of the package":         {[]string{"_flow.verdict == Verdict.DROPPED"}, true},
		"enum by its full name":       {[]string{"_flow.verdict == flow.Verdict.FORWARDED"}, false},
		"text":                        {[]string{"_flow.IP.source == '10.1.0.2'"}, true},
		"presence":                    {[]string{"has(_flow.l4.TCP)"}, true},
		"absence":                     {[]string{"has(_flow.l4.UDP) || has(_flow.l7)"}, false},
		"port":                        {[]string{"_flow.l4.TCP.destination_port == uint(5432)"}, true},
		"field of what is not there":  {[]string{"_flow.l4.UDP.destination_port == 0u && _flow.l7.http.code == 0u"}, true},
		"wrapper":                     {[]string{"_flow.is_reply == false"}, true},
		"wrapper that is not there":   {[]string{"Flow{}.is_reply == null"}, true},
		"time":                        {[]string{"_flow.time > timestamp('2026-03-04T00:00:00Z')"}, true},
		"time zone":                   {[]string{"_flow.time.getDate('+01:00') == 5 && _flow.time.getHours() == 23"}, true},
		"all":                         {[]string{"_flow.source.labels.all(l, l.startsWith('k8s:'))"}, true},
		"exists":                      {[]string{"_flow.source.labels.exists(l, l.endsWith('=2'))"}, true},
		"exists_one":                  {[]string{"_flow.source.labels.exists_one(l, l.contains('='))"}, false},
		"filter and size":             {[]string{"size(_flow.source.labels.filter(l, l.endsWith('=1'))) == 1"}, true},
		"map and in":                  {[]string{"'web' in _flow.source.workloads.map(w, w.name)"}, true},
		"map with a condition":        {[]string{"_flow.source.workloads.map(w, w.kind == 'Job', w.name) == []"}, true},
		"loop in a loop":              {[]string{"_flow.source.labels.exists(a, _flow.destination.labels.exists(b, a == b))"}, false},
		"lists joined":                {[]string{"(_flow.source.labels + _flow.destination.labels).exists(l, l.endsWith('=-1'))"}, true},
		"texts joined":                {[]string{"_flow.source.namespace + '/' + _flow.source.pod_name == 'shop/web-1'"}, true},
		"list of lists":               {[]string{"[_flow.source.namespace, _flow.source.pod_name] in [['shop', 'web-1'], ['shop', 'web-2']]"}, true},
		"literal map":                 {[]string{"{'shop': 1, 'data': 2}[_flow.source.namespace] == 1"}, true},
		"loop over a map":             {[]string{"{'shop': true}.exists(ns, ns == _flow.source.namespace)"}, true},
		"regular expression":          {[]string{"_flow.source.pod_name.matches('^web-[0-9]+$')"}, true},
		"regular expression, called":  {[]string{"matches(_flow.source.pod_name, 'db')"}, false},
		"message":                     {[]string{"_flow.source.workloads == [Workload{name: 'web', kind: 'Deployment'}]"}, true},
		"the flow by its other name":  {[]string{"._flow.verdict == 2"}, true},
		"first of two":                {[]string{"_flow.verdict == 2", "false"}, true},
		"second of two":               {[]string{"false", "_flow.verdict == 2"}, true},
		"none of two":                 {[]string{"false", "_flow.verdict == 1"}, false},
		"no element":                  {[]string{"_flow.source.labels[3] == ''"}, false},
		"no key":                      {[]string{"{'a': true}[_flow.source.namespace]"}, false},
		"division by zero":            {[]string{"1 / int(_flow.verdict - 2) == 1"}, false},
		"not a number":                {[]string{"int(_flow.source.pod_name) == 1"}, false},
		"failure does not count":      {[]string{"_flow.source.labels[3] == '' || true"}, true},
		"failure after a match":       {[]string{"true", "_flow.source.labels[3] == ''"}, true},
		"failure before a match":      {[]string{"_flow.source.labels[3] == ''", "true"}, false},
		"failure in a loop":           {[]string{"_flow.source.labels.exists(l, int(l) == 1)"}, false},
		"no time zone of that name":   {[]string{"_flow.time.getHours('Nowhere/Land') >= 0"}, false},
		"the variable's name in loop": {[]string{"_flow.source.workloads.exists(_flow, _flow.name == 'web')"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := compileWith(t, compiler, tt.expressions...)
			for range 2 {
				if got := p.Match(f); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
			// It must not panic, whatever is not there.
			p.Match(&flowpb.Flow{})
			p.Match(nil)
		})
	}
}

func TestCompileFails(t *testing.T) {
	compiler := NewCompiler()
	for name, tt := range map[string]struct {
		expressions []string
		index       int
		reason      string
	}{
		"empty":             {[]string{""}, 0, "Syntax error: mismatched input '<EOF>' expecting"},
		"no variable":       {[]string{"true", "flow.verdict == 1"}, 1, "column 1: undeclared reference to 'flow' (in container 'flow')"},
		"no field":          {[]string{"_flow.verdikt == 1"}, 0, "column 6: undefined field 'verdikt'"},
		"second line":       {[]string{"true &&\n  _flow.verdikt == 1"}, 0, "line 2, column 8: undefined field 'verdikt'"},
		"other types":       {[]string{"_flow.verdict == 'DROPPED'"}, 0, "column 15: found no matching overload for '_==_' applied to '(int, string)'"},
		"not bool":          {[]string{"_flow.verdict"}, 0, "the result is int, not bool"},
		"a flow":            {[]string{"_flow"}, 0, "the result is flow.Flow, not bool"},
		"wrapper":           {[]string{"_flow.is_reply"}, 0, "the result is wrapper(bool), not bool"},
		"dyn":               {[]string{"dyn(true)"}, 0, "the result is dyn, not bool"},
		"too long":          {[]string{strings.Repeat(" ", 4093) + "true"}, 0, "4097 bytes long, at most 4096 allowed"},
		"too many":          {slices.Repeat([]string{"true"}, 17), 16, "one of 17 expressions, at most 16 allowed"},
		"too deep":          {[]string{strings.Repeat("(", 51) + "true" + strings.Repeat(")", 51)}, 0, "expression recursion limit exceeded: 50"},
		"too much":          {[]string{strings.Repeat("_flow == _flow && ", 9) + "true"}, 0, "too much work for each flow: 5473 steps, at most 5000 allowed"},
		"too much together": {slices.Repeat([]string{"_flow.time.getHours('Europe/Berlin') == 1"}, 7), 6, "too much work for each flow: 5698 steps"},
		"key":               {[]string{"{_flow.source.namespace: 1} == {}"}, 0, "column 14: the key of a map is not a literal"},
		"pattern":           {[]string{"'a'.matches(_flow.source.namespace)"}, 0, "column 25: the pattern of matches() is not a literal"},
		"no pattern":        {[]string{"'a'.matches()"}, 0, "column 12: found no matching overload for 'matches'"},
		"pattern of a type": {[]string{"'a'.matches(1)"}, 0, "column 12: found no matching overload for 'matches'"},
		"bad pattern":       {[]string{"'a'.matches('(')"}, 0, "column 13: not a regular expression (RE2): error parsing regexp: missing closing ): `(`"},
		"large pattern":     {[]string{"'a'.matches('(ab?){200}')"}, 0, "column 13: too large a regular expression: 551 steps for each byte of a text, at most 100 allowed"},
		"loop over lists":   {[]string{"[[1]].exists(l, l == [1])"}, 0, "column 1: a loop over list(list(int)), not over plain values or messages"},
		"loop over any":     {[]string{"dyn(_flow.source.labels).exists(l, l == '')"}, 0, "column 4: a loop over dyn, not over plain values or messages"},
		"loop, message":     {[]string{"[Endpoint{}].exists(e, e.ID == 1u)"}, 0, "column 10: a message is made in an expression with a loop"},
		"long reason":       {[]string{"a" + strings.Repeat("é", 2000)}, 0, "column 2: Syntax error: token recognition error at: 'é'"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := compiler.Compile(tt.expressions)
			var e *Error
			if !errors.As(err, &e) || p != nil {
				t.Fatalf("got %v, %v, want an Error", p, err)
			}
			if e.Index != tt.index || !strings.HasPrefix(e.Reason, tt.reason) {
				t.Errorf("got %d, %q, want %d, %q", e.Index, e.Reason, tt.index, tt.reason)
			}
			checkReason(t, e)
		})
	}
}

func checkReason(t *testing.T, e *Error) {
	t.Helper()
	if e.Reason == "" || len(e.Reason) > maxReason+len("…") || strings.ContainsAny(e.Reason, "\n\r\t") {
		t.Errorf("%q is not a short line", e.Reason)
	}
}

func TestFields(t *testing.T) {
	compiler := NewCompiler()
	for name, tt := range map[string]struct {
		expressions []string
		want        []string
	}{
		"none":            {[]string{"true"}, []string{}},
		"enum only":       {[]string{"Verdict.DROPPED == 2"}, []string{}},
		"one":             {[]string{"_flow.verdict == Verdict.DROPPED"}, []string{"verdict"}},
		"nested":          {[]string{"_flow.l4.TCP.destination_port == 80u"}, []string{"l4.TCP.destination_port"}},
		"has":             {[]string{"has(_flow.l4.TCP) && has(_flow.l7)"}, []string{"l4.TCP", "l7"}},
		"several":         {[]string{"_flow.verdict == 1 && _flow.IP.source == ''", "_flow.Type == 1"}, []string{"IP.source", "Type", "verdict"}},
		"covered":         {[]string{"_flow.source.pod_name == '' || _flow.source == _flow.destination"}, []string{"destination", "source"}},
		"alike":           {[]string{"_flow.source_names == [] && _flow.source.labels == []"}, []string{"source.labels", "source_names"}},
		"index":           {[]string{"_flow.source.workloads[0].name == 'web'"}, []string{"source.workloads"}},
		"loop":            {[]string{"_flow.source.workloads.exists(w, w.name == _flow.node_name)"}, []string{"node_name", "source.workloads"}},
		"loop in a loop":  {[]string{"_flow.source.labels.all(a, a in _flow.destination.labels.map(b, b))"}, []string{"destination.labels", "source.labels"}},
		"well-known type": {[]string{"_flow.time.getHours() == 1 && _flow.is_reply == true"}, []string{"is_reply", "time"}},
		"any":             {[]string{"_flow.extensions.a.b == 1"}, []string{"extensions"}},
		"in all places": {
			[]string{"(_flow.verdict == 1 ? [_flow.uuid] : [{'a': _flow.node_name}['a']])[0] == string(_flow.Type) + Endpoint{pod_name: _flow.Summary}.pod_name"},
			[]string{"Summary", "Type", "node_name", "uuid", "verdict"},
		},
		"other name":     {[]string{"._flow.verdict == 1"}, []string{"verdict"}},
		"whole":          {[]string{"_flow == _flow"}, nil},
		"whole in one":   {[]string{"_flow.verdict == 1", "_flow == Flow{}"}, nil},
		"whole in list":  {[]string{"[_flow].exists(f, f.verdict == 1)"}, nil},
		"whole as dyn":   {[]string{"dyn(_flow).verdict == 1"}, nil},
		"whole as type":  {[]string{"type(_flow) == Flow"}, nil},
		"name of a loop": {[]string{"_flow.source.workloads.exists(_flow, _flow.name == 'a')"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := compileWith(t, compiler, tt.expressions...)
			if got := p.Fields(); !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			checkFields(t, p)
		})
	}
}

// checkFields holds that a field mask takes the fields.
func checkFields(t *testing.T, p *Program) {
	t.Helper()
	if _, err := fieldmaskpb.New(&flowpb.Flow{}, p.Fields()...); err != nil {
		t.Error(err)
	}
}

// TestConcurrent has programs of one compiler run at once.
func TestConcurrent(t *testing.T) {
	compiler := NewCompiler()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				p, err := compiler.Compile([]string{fmt.Sprintf("_flow.source.labels.exists(l, l.endsWith('=%d'))", i)})
				if err != nil {
					t.Error(err)
					return
				}
				if got := p.Match(webFlow(n)); got != (i < n) {
					t.Errorf("label %d of %d: %v", i, n, got)
				}
			}
		})
	}
	wg.Wait()
}

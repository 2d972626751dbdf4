package observer

import (
	"slices"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestFiltersAreLimited has many filters, and filters with much in them.
func TestFiltersAreLimited(t *testing.T) {
	const maxFilterBytes = 128 << 10
	many := func(n int) (all []*flowpb.FlowFilter) {
		for range n {
			all = append(all, &flowpb.FlowFilter{})
		}
		return all
	}
	large := func(filters, bytes int) (all []*flowpb.FlowFilter) {
		for range filters {
			// A tag, a length of three bytes, and the rest.
			all = append(all, &flowpb.FlowFilter{SourcePod: []string{strings.Repeat("x", bytes/filters-4)}})
		}
		return all
	}
	for name, tt := range map[string]struct {
		whitelist, blacklist []*flowpb.FlowFilter
		want                 string
	}{
		"as many as may be":  {many(128), many(128), ""},
		"one too many":       {many(129), nil, `whitelist: "129 filters" is not valid: at most 128 expected`},
		"one too many not":   {many(128), many(129), `blacklist: "129 filters" is not valid: at most 128 expected`},
		"as large as may be": {large(1, maxFilterBytes), large(1, maxFilterBytes), ""},
		"too large":          {large(1, maxFilterBytes+1), nil, `whitelist: "filters of 131073 bytes" is not valid: at most 131072 expected`},
		"too large together": {nil, large(4, maxFilterBytes+4), `blacklist: "filters of 131076 bytes" is not valid: at most 131072 expected`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			_, err := f.get(t.Context(), &observerpb.GetFlowsRequest{Whitelist: tt.whitelist, Blacklist: tt.blacklist})
			code := codes.OK
			if tt.want != "" {
				code = codes.InvalidArgument
			}
			if status.Code(err) != code || status.Convert(err).Message() != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestCostlyFilters has filters that are short to write.
func TestCostlyFilters(t *testing.T) {
	expressions := func(filters, each int) (all []*flowpb.FlowFilter) {
		for range filters {
			all = append(all, &flowpb.FlowFilter{Experimental: &flowpb.FlowFilter_Experimental{
				CelExpression: slices.Repeat([]string{"true"}, each),
			}})
		}
		return all
	}
	// Compiled, it has more than a hundred million instructions.
	huge := "a(?:" + strings.Repeat("x", 100_000) + "){1000}"
	for name, tt := range map[string]struct {
		whitelist, blacklist []*flowpb.FlowFilter
		want                 string
	}{
		"expressions":        {expressions(4, 2), expressions(1, 8), ""},
		"expressions of all": {expressions(4, 2), expressions(1, 9), `blacklist[0].experimental.cel_expression: "17 expressions" is not valid`},
		"expressions of one": {expressions(1, 17), nil, `whitelist[0].experimental.cel_expression: "17 expressions" is not valid`},
		"regular expression": {[]*flowpb.FlowFilter{{DnsQuery: []string{huge}}}, nil, ""},
		"many stars":         {[]*flowpb.FlowFilter{{SourceFqdn: []string{strings.Repeat("*", 4096)}}}, nil, ""},
		"many names": {[]*flowpb.FlowFilter{{SourceFqdn: slices.Repeat([]string{"a.example.com"}, 400)}}, nil,
			`whitelist[0].source_fqdn: "400 names" is not valid`},
		"a long value": {[]*flowpb.FlowFilter{{SourceIp: []string{strings.Repeat("x", 100_000)}}}, nil,
			`whitelist[0].source_ip: "` + strings.Repeat("x", 300) + `…" is not valid`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			_, err := f.get(t.Context(), &observerpb.GetFlowsRequest{Whitelist: tt.whitelist, Blacklist: tt.blacklist})
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (status.Code(err) != codes.InvalidArgument || !strings.HasPrefix(status.Convert(err).Message(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

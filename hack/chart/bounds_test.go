package chart

import (
	"strings"
	"testing"

	"github.com/fovea-obs/fovea/agent"
)

// TestBounds holds what the chart takes to what an agent does: at the bounds of values an
// agent starts, and beyond them the chart says that it would not.
func TestBounds(t *testing.T) {
	t.Parallel()
	const history = 1 << 20
	h := newHelm(t)
	for name, tt := range map[string]struct {
		values  string
		config  func(*agent.Config)
		refused bool
	}{
		"least history":    {"history: 1MiB", func(c *agent.Config) { c.History = history }, false},
		"least in KB":      {"history: 1049KB", func(c *agent.Config) { c.History = 1049e3 }, false},
		"less history":     {"history: 1048KB", nil, true},
		"least interval":   {"aggregationInterval: 100ms", func(c *agent.Config) { c.AggregationInterval = agent.MinAggregationInterval }, false},
		"a lesser one":     {"aggregationInterval: 99.9ms", nil, true},
		"longest interval": {"aggregationInterval: 59m60s", func(c *agent.Config) { c.AggregationInterval = agent.MaxAggregationInterval }, false},
		"a longer one":     {"aggregationInterval: 1h0.1ms", nil, true},
		"interface":        {`interfaces: ["!-veth*"]`, func(c *agent.Config) { c.Interfaces = []string{"!-veth*"} }, false},
		"no interface":     {`interfaces: ["!-"]`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.template(t, anyNamespace, kubeVersion, "agent: {"+tt.values+"}")
			if refused := err != nil; refused != tt.refused {
				t.Errorf("refused: %v, want %v", err, tt.refused)
			}
			if err != nil && !strings.Contains(err.Error(), strings.SplitN(tt.values, ":", 2)[0]) {
				t.Errorf("%v does not name the value", err)
			}
			if tt.config == nil {
				return
			}
			c := agent.DefaultConfig("node")
			tt.config(&c)
			check(t, c.Validate())
		})
	}
}

package cel

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const ten = "[0,1,2,3,4,5,6,7,8,9]"

// nested is a loop of ten rounds in another, so deep, around an expression.
func nested(depth int, macro, inner string) string {
	for i := range depth {
		inner = fmt.Sprintf("%s.%s(v%d, %s)", ten, macro, i, inner)
	}
	return inner
}

// bombs would take long, and are ended.
func bombs() map[string]string {
	repeat := strings.Repeat
	return map[string]string{
		"nested loops":                nested(6, "all", "true"),
		"nested exists":               nested(6, "exists", "false"),
		"nested exists_one":           nested(6, "exists_one", "false"),
		"nested map":                  nested(6, "map", "0") + " == []",
		"constants":                   nested(4, "all", repeat("true && (", 30)+"true"+repeat(")", 30)),
		"literals":                    nested(4, "all", "[v0"+repeat(",v0", 200)+"] != []"),
		"maps":                        nested(4, "all", "{1:v0"+repeat(",1:v0", 100)+"} != {}"),
		"negations":                   nested(4, "all", repeat("!!(", 40)+"true"+repeat(")", 40)),
		"labels by labels":            "_flow.source.labels.exists(a, _flow.destination.labels.exists(b, a == b))",
		"labels in labels":            nested(4, "all", "_flow.source.labels.all(l, !(l in _flow.destination.labels))"),
		"lists compared":              nested(4, "all", "_flow.source.labels == _flow.source.labels"),
		"flows compared":              nested(4, "all", "_flow == _flow"),
		"flows in a list":             nested(3, "all", "[_flow, _flow, _flow] == [_flow, _flow, _flow]"),
		"flow as variable":            nested(3, "all", "[_flow].all(f, f == f)"),
		"time zones":                  nested(4, "all", "_flow.time.getHours('Europe/Berlin') < 25"),
		"parts of times":              nested(4, "all", "_flow.time.getDayOfYear() + _flow.time.getFullYear() + _flow.time.getMilliseconds() > 0"),
		"times":                       nested(4, "all", "timestamp('2026-03-04T00:00:00Z') < _flow.time && duration('1h2m3s') < _flow.time - timestamp('2026-03-04T00:00:00Z')"),
		"conversions":                 nested(4, "all", "string(_flow.time) != string(double(v0)) && bytes(_flow.source.pod_name) != b''"),
		"long texts":                  "['x']" + repeat(".map(a, a + a)", 40) + "[0] == ''",
		"long bytes":                  "[b'x']" + repeat(".map(a, a + a)", 40) + "[0] == b''",
		"long texts compared":         "['x']" + repeat(".map(a, a + a)", 12) + ".all(a, " + nested(3, "all", "a + 'y' != a + 'z' && !a.contains('yx')") + ")",
		"long lists":                  "(_flow.source.labels" + repeat(" + _flow.source.labels", 45) + ") == [] ",
		"long lists in loop":          nested(4, "all", "(_flow.source.labels"+repeat(" + _flow.source.labels", 20)+") != []"),
		"regular expressions":         nested(4, "all", "!_flow.source.labels.exists(l, l.matches('(a|b)*"+repeat("[a-z]*[a-z0-9]*", 20)+"X'))"),
		"slow expression":             "!_flow.source.labels[0].matches('^(.*[a-z].*){20}X$')" + repeat(" && !_flow.source.labels[1].matches('^(.*[a-z].*){20}X$')", 10),
		"failures":                    nested(4, "exists", "1 / 0 == 1"),
		"sizes":                       nested(4, "all", "size(_flow.source.labels) > 0 && size(_flow.source.pod_name) > 0"),
		"presence":                    nested(4, "all", "has(_flow.l4.TCP) && has(_flow.source.labels) && !has(_flow.l7.http.url)"),
		"elements":                    nested(4, "all", "_flow.source.labels[v0] != _flow.destination.labels[v1]"),
		"regular expressions, called": nested(4, "all", "!matches(_flow.source.labels[0], '(.*[a-z].*){20}X')"),
	}
}

// heavy expressions do as much as is allowed, or nearly.
func heavy() map[string]string {
	repeat := strings.Repeat
	return map[string]string{
		"nested filter": nested(6, "exists", "v0 in "+ten+".filter(a, a > 0)"),
		"conditions":    nested(4, "all", repeat("v0 == 1 ? false : (", 20)+"true"+repeat(")", 20)),
		"messages":      repeat("_flow == _flow && ", 7) + "true",
		"strings":       repeat("_flow.source.pod_name != 'x' && ", 120) + "true",
		"messages made": "_flow != Flow{source: Endpoint{labels: ['a'" + repeat(", 'a'", 600) + "]}}",
	}
}

// TestBombs holds that bombs are ended, and that nothing takes long. How long it
// may take is far from what is measured, for slow machines.
func TestBombs(t *testing.T) {
	compiler := NewCompiler()
	for name, expression := range bombs() {
		t.Run(name, func(t *testing.T) {
			if left := takes(t, compiler, expression); left >= 0 {
				t.Errorf("it was not ended, with %d steps left", left)
			}
		})
	}
	for name, expression := range heavy() {
		t.Run(name, func(t *testing.T) {
			if left := takes(t, compiler, expression); left < 0 {
				t.Errorf("it was ended, %d steps too late", -left)
			}
		})
	}
}

// takes fails if an expression takes long, and returns the steps left.
func takes(t *testing.T, c *Compiler, expression string) int {
	t.Helper()
	const compiling, matching = 2 * time.Second, 20 * time.Millisecond
	f := webFlow(30)
	start := time.Now()
	p := compileWith(t, c, expression)
	if took := time.Since(start); took > compiling {
		t.Errorf("compiled in %v", took)
	}
	best := time.Hour
	for range 20 {
		start := time.Now()
		p.Match(f)
		best = min(best, time.Since(start))
	}
	t.Logf("%v, %d steps left", best, p.meter.left)
	if best > matching {
		t.Errorf("matched in %v", best)
	}
	return p.meter.left
}

// TestCheckerBombs are expressions that the checker would need hours for.
func TestCheckerBombs(t *testing.T) {
	const bound = 2 * time.Second
	compiler := NewCompiler()
	for name, expression := range map[string]string{
		"maps of maps":        "[1]" + strings.Repeat(".map(a, {a: a})", 40) + " == [1]",
		"maps of maps inside": strings.Repeat("[", 40) + strings.Repeat("].map(a, {a: a})", 40) + " == 1",
		"loops in loops":      strings.Repeat("[1].exists_one(a, ", 49) + "true" + strings.Repeat(")", 49),
		"open brackets":       strings.Repeat("[", maxLength),
		"minus":               strings.Repeat("-", maxLength),
		"not a token":         strings.Repeat("\xff", maxLength),
		"large repetitions":   "'a'.matches('" + strings.Repeat("x{1000}", 500) + "')",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := compiler.Compile([]string{expression})
			if took := time.Since(start); took > bound {
				t.Errorf("it took %v", took)
			}
			if err == nil && name != "loops in loops" {
				t.Error("no error")
			}
		})
	}
}

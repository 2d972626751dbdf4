package cel

import "testing"

func BenchmarkMatch(b *testing.B) {
	f := webFlow(8)
	for name, expression := range map[string]string{
		"verdict": "_flow.verdict == Verdict.DROPPED",
		"port":    "has(_flow.l4.TCP) && _flow.l4.TCP.destination_port == 443u",
		"text":    "_flow.source.pod_name.startsWith('db-') || _flow.destination.pod_name.startsWith('web-')",
		"pattern": "_flow.source.pod_name.matches('^db-[0-9]+$')",
		"labels":  "_flow.source.labels.exists(l, l == 'k8s:app=web')",
		"pairs":   "_flow.source.labels.exists(l, l in _flow.destination.labels)",
	} {
		b.Run(name, func(b *testing.B) {
			p := compileAll(b, expression)
			b.ReportAllocs()
			for b.Loop() {
				p.Match(f)
			}
			if p.meter.left < 0 {
				b.Error("it takes too many steps")
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	expressions := []string{"_flow.verdict == Verdict.DROPPED && _flow.source.labels.exists(l, l == 'k8s:app=web')"}
	compiler := NewCompiler()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compiler.Compile(expressions); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirst is what the first expression costs: the language itself is
// prepared once a process, and is not in it.
func BenchmarkFirst(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compileAll(b, "true")
	}
}

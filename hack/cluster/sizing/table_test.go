package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "document.md")
	all := []result{
		{level{}, []values{{flows: 9.4, cpu: 0.0061, peak: 43.2, memory: 50}}},
		{level{"tcp", false, 0}, []values{{rate: 5234, flows: 41870, cpu: 0.15, programs: 0.05, peak: 100, memory: 110}}},
		{level{"udp", false, 10000}, []values{{rate: 8765, flows: 17530}}},
		{level{"udp", true, 50000}, []values{{rate: 49999, flows: 100100, cpu: 0.25, peak: 170, memory: 200, lost: 1234567}}},
	}
	const before, after = "Before.\n\n" + beginMark, endMark + "\nAfter.\n"
	check(t, os.WriteFile(path, []byte(before+"| old |\n"+after), 0o600))
	for range 2 { // the second time it is there already
		check(t, writeTable(path, all))
		got, err := os.ReadFile(path)
		check(t, err)
		want := before +
			"| connections a second | flows a second | CPU of the agent | of its programs | memory, resident | with the kernel's | events lost |\n" +
			"| --- | --- | --- | --- | --- | --- | --- |\n" +
			"| 0, idle | 9 | 0.006 | 0.000 | 43 MiB | 50 MiB | 0 |\n" +
			"| 5,200, TCP | 42,000 | 0.150 | 0.050 | 100 MiB | 110 MiB | 0 |\n" +
			"| 8,800, UDP | 18,000 | 0.000 | 0.000 | 0 MiB | 0 MiB | 0 |\n" +
			"| 50,000, UDP on one node | 100,000 | 0.250 | 0.000 | 170 MiB | 200 MiB | 1,234,567 |\n" + after
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestTableNeedsItsMarks(t *testing.T) {
	for _, text := range []string{"", beginMark, endMark, endMark + beginMark} {
		path := filepath.Join(t.TempDir(), "document.md")
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if err := writeTable(path, nil); err == nil {
			t.Errorf("%q passed", text)
		}
	}
}

// TestDocument holds that the project's document has a place for the table.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/sizing.md")
	check(t, err)
	path := filepath.Join(t.TempDir(), "sizing.md")
	check(t, os.WriteFile(path, text, 0o600))
	check(t, writeTable(path, nil))
}

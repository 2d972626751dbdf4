package static

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestParse runs testdata/parse: what a file says, or all of its mistakes.
func TestParse(t *testing.T) {
	datadriven.Walk(t, "testdata/parse", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			f, err := Parse("endpoints.yaml", []byte(d.Input))
			if err != nil {
				return err.Error()
			}
			return show(f)
		})
	})
}

func TestMistakesAreAll(t *testing.T) {
	_, err := Parse("a file", []byte("nodes: 1\nservices: 2\npods: 3\n"))
	var mistakes Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 3 {
		t.Fatalf("got %v, want three mistakes", err)
	}
	for i, m := range mistakes {
		if m.File != "a file" || m.Line != i+1 {
			t.Errorf("mistake %d is at %s:%d", i, m.File, m.Line)
		}
	}
}

// FuzzParse holds that any bytes are a file or mistakes, and that a file can be
// applied again without changing anything.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"good", "mistakes"} {
		data, err := os.ReadFile("testdata/parse/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "\n\n") {
			_, input, _ := strings.Cut(part, "parse\n")
			input, _, _ = strings.Cut(input, "----")
			f.Add([]byte(input))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz", data)
		if err != nil {
			if file != nil || err.Error() == "" {
				t.Fatalf("got %+v with error %q", file, err)
			}
			return
		}
		s := New(config("fuzz", slog.New(slog.DiscardHandler)))
		s.Apply(file)
		versions := s.c.Endpoints.Len()
		if set, removed := s.applyEndpoints(file.Endpoints, file.Endpoints, 2); set+removed > 0 {
			t.Errorf("the same file again sets %d and removes %d", set, removed)
		}
		for i := range file.Endpoints {
			for _, a := range file.Endpoints[i].Addresses {
				got := s.c.Endpoints.At(s.c.Endpoints.Remote(a, 0))
				if got.Pod != file.Endpoints[i].Pod {
					t.Errorf("%v is %v, want pod %q", a, got, file.Endpoints[i].Pod)
				}
			}
		}
		for _, n := range file.Names {
			got := s.c.Names.At(s.c.Names.Lookup(netip.Addr{}, n.Address)).Destination
			want := slices.Compact(slices.Sorted(slices.Values(n.Names)))
			if !slices.Equal(got, want) {
				t.Errorf("the names of %v are %q, want %q", n.Address, got, want)
			}
		}
		s.Apply(&File{})
		if s.c.Endpoints.Len() != versions {
			t.Error("taking all away made new versions")
		}
	})
}

// show returns one line for each entry of f.
func show(f *File) string {
	var b strings.Builder
	for _, n := range f.Nodes {
		fmt.Fprintf(&b, "node %s %v\n", n.Name, n.Addresses)
	}
	for _, e := range f.Endpoints {
		fmt.Fprintf(&b, "endpoint %s interface=%q addresses=%v namespace=%q pod=%q labels=%q workload=%v\n",
			e.key(), e.Interface, e.Addresses, e.Namespace, e.Pod, e.Labels, e.Workload)
	}
	for _, s := range f.Services {
		fmt.Fprintf(&b, "service %s/%s %v port=%d protocol=%d\n", s.Namespace, s.Name, s.Address, s.Port, s.Protocol)
	}
	for _, n := range f.Names {
		fmt.Fprintf(&b, "names %v %q\n", n.Address, n.Names)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

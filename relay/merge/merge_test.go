package merge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the scripts in testdata. Their commands are
//
//	new [patience=duration] [most=number]
//	add n=number      prints their numbers if some were removed
//	remove n=number
//	put               a line for each source: its number, times of items, [mark=time] [end] [away]
//	next              all that is out now
//	after d=duration  lets time pass
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var m *Merge[[]byte]
		now, added := time.Unix(0, 0), 0
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				most := math.MaxInt
				if d.HasArg("most") {
					d.ScanArgs(t, "most", &most)
				}
				m, added = New[[]byte](duration(t, d, "patience"), most), 0
			case "add":
				var n int
				d.ScanArgs(t, "n", &n)
				for range n {
					if number := m.Add(); number < added {
						return fmt.Sprintf("%d\n", number)
					}
					added++
				}
			case "remove":
				var n int
				d.ScanArgs(t, "n", &n)
				m.Remove(n)
			case "put":
				for _, line := range strings.Split(d.Input, "\n") {
					number, b := batch(t, line)
					m.Put(number, b, now)
				}
			case "after":
				now = now.Add(duration(t, d, "d"))
				return drain(m, now)
			case "next":
				return drain(m, now)
			default:
				d.Fatalf(t, "unknown command")
			}
			return ""
		})
	})
}

func duration(t *testing.T, d *datadriven.TestData, name string) time.Duration {
	if !d.HasArg(name) {
		return 0
	}
	var text string
	d.ScanArgs(t, name, &text)
	out, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func batch(t *testing.T, line string) (source int, b Batch[[]byte]) {
	words := strings.Fields(line)
	source = int(number(t, words[0]))
	for _, w := range words[1:] {
		switch mark, isMark := strings.CutPrefix(w, "mark="); {
		case isMark:
			b.Mark = number(t, mark)
		case w == "end":
			b.End = true
		case w == "away":
			b.Away = true
		default:
			b.Items = append(b.Items, Item[[]byte]{Time: number(t, w), Message: []byte(words[0] + ":" + w)})
		}
	}
	return source, b
}

func number(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// drain returns what is out, and what the Merge says of the rest.
func drain(m *Merge[[]byte], now time.Time) string {
	var out strings.Builder
	for {
		i, source, wait, ok := m.Next(now)
		if !ok {
			switch passed := m.Passed(); {
			case m.Ended():
				fmt.Fprintln(&out, "ended")
			case wait > 0:
				fmt.Fprintf(&out, "wait %v\n", wait)
			case passed == math.MinInt64:
				fmt.Fprintln(&out, "wait")
			default:
				fmt.Fprintf(&out, "wait, passed %d\n", passed)
			}
			return out.String()
		}
		fmt.Fprintf(&out, "%s from %d\n", i.Message, source)
	}
}

// TestOrder merges random sources, whose batches come in a random order, and compares
// what is out with all items sorted.
func TestOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		m := New[[]byte](0, 0)
		var want, got []int64
		left := make([][]int64, 1+r.IntN(20))
		for i := range left {
			m.Add()
			for range r.IntN(50) {
				left[i] = append(left[i], r.Int64N(200))
			}
			slices.Sort(left[i])
			want = append(want, left[i]...)
		}
		slices.Sort(want)
		ended := make([]bool, len(left))
		for steps := 0; !m.Ended(); steps++ {
			if steps > 100_000 {
				t.Fatalf("seed %d: no end", seed)
			}
			i := r.IntN(len(left))
			if !ended[i] {
				n := r.IntN(len(left[i]) + 1)
				b := Batch[[]byte]{End: n == len(left[i]) && r.IntN(2) == 0}
				for _, at := range left[i][:n] {
					b.Items = append(b.Items, Item[[]byte]{Time: at})
				}
				if left[i] = left[i][n:]; len(left[i]) > 0 && r.IntN(2) == 0 {
					b.Mark = left[i][0] - 1
				}
				ended[i] = b.End
				m.Put(i, b, time.Unix(0, 0))
			}
			for {
				item, _, _, ok := m.Next(time.Unix(0, 0))
				if !ok {
					break
				}
				got = append(got, item.Time)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, k := range []int{4, 16, 256, 1024} {
		b.Run(strconv.Itoa(k), func(b *testing.B) {
			b.ReportAllocs()
			m := New[[]byte](0, 0)
			items := make([][]Item[[]byte], k)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range k {
				m.Add()
				items[i] = make([]Item[[]byte], 1000)
			}
			at := int64(0)
			refill := func(i int) {
				for j := range items[i] {
					items[i][j].Time = at + int64(j)*int64(k) + r.Int64N(int64(k))
				}
				slices.SortFunc(items[i], func(a, b Item[[]byte]) int { return int(a.Time - b.Time) })
				m.Put(i, Batch[[]byte]{Items: items[i]}, time.Time{})
			}
			for i := range k {
				refill(i)
			}
			b.ResetTimer()
			for range b.N {
				item, source, _, ok := m.Next(time.Time{})
				if !ok {
					b.Fatal("nothing")
				}
				at = item.Time
				if m.Queued(source) == 0 {
					b.StopTimer()
					refill(source)
					b.StartTimer()
				}
			}
		})
	}
}

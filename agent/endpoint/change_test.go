package endpoint

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestChangesAreAll does all kinds of things by chance. What a watcher was told,
// taken together, is who is behind each interface.
func TestChangesAreAll(t *testing.T) {
	const steps, size = 20000, 5
	rnd := rand.New(rand.NewPCG(3, 4))
	told := map[uint32]*Endpoint{}
	table := NewTable("prod", func(c Change) {
		if c.Before != nil && told[c.Before.ID] != c.Before {
			t.Errorf("%v, which was not told of, became %v", c.Before, c.After)
		}
		if c.Before != nil {
			delete(told, c.Before.ID)
		}
		if c.After == nil {
			return
		}
		if told[c.After.ID] != nil {
			t.Errorf("%v came where %v is", c.After, told[c.After.ID])
		}
		told[c.After.ID] = c.After
	})
	names := map[uint32]string{}
	for range steps {
		key, name := fmt.Sprint("pod-", rnd.IntN(size)), fmt.Sprint("veth", rnd.IntN(size))
		index := uint32(1 + rnd.IntN(size))
		switch rnd.IntN(5) {
		case 0, 1:
			labels := map[string]string{"v": fmt.Sprint(rnd.IntN(2))}
			table.Set(key, Binding{Endpoint: ForPod("prod", "shop", key, labels, nil), Interface: name}, 0)
		case 2:
			table.Remove(key, 0)
		case 3:
			maps.DeleteFunc(names, func(_ uint32, n string) bool { return n == name })
			names[index] = name
			table.LinkUp(index, name)
		case 4:
			delete(names, index)
			table.LinkDown(index)
		}
		want := map[uint32]*Endpoint{}
		for index := range names {
			if e := table.At(table.Local(index)); e.Pod != "" {
				want[index] = e
			}
		}
		if !maps.Equal(want, told) {
			t.Fatalf("behind interfaces: %s", cmp.Diff(want, told))
		}
	}
}

// TestWatcherMayAsk has a watcher that asks the table of what it is told, while
// others change it. The changes of a pod come in order.
func TestWatcherMayAsk(t *testing.T) {
	const pods, rounds = 4, 200
	var table *Table
	here := map[uint32]*Endpoint{}
	table = NewTable("prod", func(c Change) {
		either := c.After
		if c.After == nil {
			either = c.Before
		} else if got := table.At(table.Local(c.After.ID)); got != c.After {
			t.Errorf("told that %v came, but its interface leads to %v", c.After, got)
		}
		if here[either.ID] != c.Before {
			t.Errorf("%v became %v, but was %v", c.Before, c.After, here[either.ID])
		}
		here[either.ID] = c.After
	})
	var running sync.WaitGroup
	for i := range pods {
		key, name := fmt.Sprint("pod-", i), fmt.Sprint("veth", i)
		running.Go(func() {
			for round := range rounds {
				labels := map[string]string{"round": fmt.Sprint(round)}
				table.Set(key, Binding{Endpoint: ForPod("prod", "shop", key, labels, nil), Interface: name}, 0)
				if round%7 == 6 {
					table.Remove(key, 0)
				}
			}
		})
		running.Go(func() {
			for range rounds {
				table.LinkUp(uint32(i+1), name)
				table.LinkDown(uint32(i + 1))
			}
		})
	}
	running.Wait()
}

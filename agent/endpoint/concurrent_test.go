package endpoint

import (
	"fmt"
	"sync"
	"testing"
)

// TestConcurrent has readers ask while a source and a datapath tell. Each
// address belongs to one pod, and each interface: whatever is answered, it is
// never another.
func TestConcurrent(t *testing.T) {
	const pods, rounds = 8, 100
	table := NewTable("prod")
	addrs := addrsOf("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::4", "fd00::5", "fd00::6", "fd00::7")
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	writers.Go(func() {
		for round := range rounds {
			for i := range pods {
				key := fmt.Sprint("pod-", i)
				e := ForPod("prod", "shop", key, map[string]string{"round": fmt.Sprint(round)}, nil)
				table.Set(key, Binding{Endpoint: e, Interface: fmt.Sprint("veth", i), Addresses: addrs[i : i+1]}, int64(round))
				if round%3 == 2 {
					table.Remove(key, int64(round))
				}
			}
		}
	})
	writers.Go(func() {
		for round := range rounds {
			for i := range pods {
				table.LinkUp(uint32(i), fmt.Sprint("veth", i))
				if round%2 == 1 {
					table.LinkDown(uint32(i))
				}
			}
			table.SetHostAddresses(addrs[:1+round%2])
			table.SetNodes("node1", []Node{{"node2", addrs[2:4]}})
		}
	})
	for range 4 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				i := n % pods
				local, remote := table.Ends(uint32(i), addrs[i], int64(n%rounds))
				for _, number := range []Number{local, remote} {
					e, own := table.At(number), fmt.Sprint("pod-", i)
					if int(number) >= table.Len() || e.Pod != "" && e.Pod != own {
						t.Errorf("interface or address %d is version %d, %v", i, number, e)
						return
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

package datapath

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// symbols names kernel addresses. Only few different ones are ever asked for,
// so the kernel's list is read again for each new one and not kept.
type symbols struct {
	path string

	mu    sync.Mutex
	names map[uint64]string
}

func newSymbols() *symbols {
	return &symbols{path: "/proc/kallsyms", names: map[uint64]string{}}
}

// name returns the function that holds the address, or "" if the kernel does not
// tell: see kernel.kptr_restrict in proc(5).
func (s *symbols) name(addr uint64) string {
	if addr == 0 {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.names[addr]
	if !ok {
		name = s.find(addr)
		s.names[addr] = name
	}
	return name
}

// readable tells whether the kernel shows addresses in its list.
func (s *symbols) readable() bool {
	f, err := os.Open(s.path)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Some are at 0 even so: those of data for each CPU.
		if !strings.HasPrefix(lines.Text(), "0000000000000000 ") {
			return true
		}
	}
	return false
}

// find returns the last function that starts at or below addr.
func (s *symbols) find(addr uint64) string {
	var best uint64
	var name string
	s.each(func(at uint64, n string) {
		if at <= addr && at > best {
			best, name = at, n
		}
	})
	return name
}

// span is where a function lies, or a part of one.
type span struct {
	name       string
	start, end uint64
}

// spans returns where functions lie, each in as many parts as the compiler made of
// it. Those that the kernel does not tell of are left out.
func (s *symbols) spans(functions []string) []span {
	var all []uint64
	var found []span
	s.each(func(at uint64, name string) {
		all = append(all, at)
		if slices.Contains(functions, name) {
			found = append(found, span{name, at, at})
		}
	})
	slices.Sort(all)
	for i := range found {
		// Several names may lie at one address.
		if next, _ := slices.BinarySearch(all, found[i].start+1); next < len(all) {
			found[i].end = all[next]
		}
	}
	return found
}

// each calls visit for each function that the kernel shows the address of. Names are
// those of the source: compilers call parts of a function f.cold or f.isra.0.
func (s *symbols) each(visit func(at uint64, name string)) {
	f, err := os.Open(s.path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// ffffffff81000000 T _stext [module]
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || (fields[1] != "t" && fields[1] != "T") {
			continue
		}
		if at, err := strconv.ParseUint(fields[0], 16, 64); err == nil && at != 0 {
			name, _, _ := strings.Cut(fields[2], ".")
			visit(at, name)
		}
	}
}

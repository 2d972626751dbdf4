//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// process is one of all times: numbers are given again.
type process struct {
	pid     int
	started string
	name    string
}

// awaitEnd waits for processes that were killed.
func awaitEnd(ctx context.Context, t *testing.T, processes []process) {
	t.Helper()
	for _, p := range processes {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		eventually(ctx, t, func() error {
			if now, _, ok := readProcess(p.pid); ok && now == p {
				return fmt.Errorf("process %d %s is left", p.pid, p.name)
			}
			return nil
		})
		cancel()
	}
}

// descendants are the processes that a process started, with what they started.
func descendants(t *testing.T, pid int) []process {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	check(t, err)
	children := map[int][]process{}
	for _, s := range stats {
		pid, err := strconv.Atoi(strings.Split(s, "/")[2])
		check(t, err)
		if p, parent, ok := readProcess(pid); ok {
			children[parent] = append(children[parent], p)
		}
	}
	var all []process
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0].pid]...)
	}
	return all
}

// readProcess reads a process that need not be there.
func readProcess(pid int) (p process, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, 0, false
	}
	// The name is in parentheses and may have any in it.
	head, tail, _ := strings.Cut(string(text), "(")
	end := strings.LastIndex(tail, ") ")
	fields := strings.Fields(tail[end+2:])
	if end < 0 || head == "" || len(fields) < 20 {
		return process{}, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return process{pid: pid, name: tail[:end], started: fields[19]}, parent, err == nil
}

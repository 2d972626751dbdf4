package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Objects are the numbers of BPF programs, maps and links in the kernel.
type Objects struct {
	programs, maps, links map[int]bool
}

// Held returns what a process holds open; it is an error if it has no programs or
// maps. Other processes have such objects at the same time, so that a list of all
// there are tells nothing.
func Held(pid int) (Objects, error) {
	o := Objects{map[int]bool{}, map[int]bool{}, map[int]bool{}}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return Objects{}, fmt.Errorf("list what process %d holds: %w", pid, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // closed meanwhile
		}
		o.note(string(text))
	}
	if len(o.programs) == 0 || len(o.maps) == 0 {
		return Objects{}, fmt.Errorf("process %d holds no BPF programs or maps: %v", pid, o)
	}
	return o, nil
}

// note takes the numbers from the description of an open file. A link's has
// that of its program too.
func (o Objects) note(text string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			continue
		}
		switch name {
		case "prog_id":
			o.programs[n] = true
		case "map_id":
			o.maps[n] = true
		case "link_id":
			o.links[n] = true
		}
	}
}

// String counts them.
func (o Objects) String() string {
	return fmt.Sprintf("%d programs, %d maps and %d links", len(o.programs), len(o.maps), len(o.links))
}

// left returns which of them are still there.
func (o Objects) left() []string {
	var left []string
	for id := range o.programs {
		if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)); !errors.Is(err, os.ErrNotExist) {
			left = append(left, fmt.Sprintf("program %d (%v)", id, p))
			p.Close()
		}
	}
	for id := range o.maps {
		if m, err := ebpf.NewMapFromID(ebpf.MapID(id)); !errors.Is(err, os.ErrNotExist) {
			left = append(left, fmt.Sprintf("map %d (%v)", id, m))
			m.Close()
		}
	}
	for id := range o.links {
		if l, err := link.NewFromID(link.ID(id)); !errors.Is(err, os.ErrNotExist) {
			left = append(left, fmt.Sprintf("link %d", id))
			if l != nil {
				l.Close()
			}
		}
	}
	return left
}

// AwaitGone waits until none is left. The kernel frees them some time after
// their last user went, of which nothing tells.
func (o Objects) AwaitGone(ctx context.Context) error {
	for {
		left := o.left()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("left in the kernel: %s", strings.Join(left, ", "))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

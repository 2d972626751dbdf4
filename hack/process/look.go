package process

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
)

// RunTime is how long the programs whose names begin with none of these ran since
// they were loaded, on all CPUs. The kernel measures it while somebody asks it to, see
// [ebpf.EnableStats].
func (o Objects) RunTime(but ...string) (sum time.Duration, err error) {
	for id := range o.programs {
		p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
		if err != nil {
			return 0, fmt.Errorf("open program %d: %w", id, err)
		}
		info, err := p.Info()
		if err == nil && !hasPrefix(info.Name, but) {
			var stats *ebpf.ProgramStats
			if stats, err = p.Stats(); err == nil {
				sum += stats.Runtime
			}
		}
		if err := errors.Join(err, p.Close()); err != nil {
			return 0, fmt.Errorf("read how long program %d ran: %w", id, err)
		}
	}
	return sum, nil
}

func hasPrefix(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Map opens the map of a name, of which there must be one. The caller must close it.
func (o Objects) Map(name string) (found *ebpf.Map, err error) {
	for id := range o.maps {
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open map %d: %w", id, err), found.Close())
		}
		info, err := m.Info()
		switch {
		case err != nil:
			return nil, errors.Join(fmt.Errorf("read what map %d is: %w", id, err), m.Close(), found.Close())
		case info.Name != name:
			m.Close()
		case found != nil:
			return nil, errors.Join(fmt.Errorf("more than one map is called %q", name), m.Close(), found.Close())
		default:
			found = m
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no map is called %q", name)
	}
	return found, nil
}

package datapath

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/bpf"
)

// translationsAtOnce is MAX_TRANSLATIONS of bpf/fovea.h.
const translationsAtOnce = 16

// tracking asks the kernel's connection tracking. All ways to ask give the same
// answers.
type tracking interface {
	// translate does what Translate does. That a connection is not found is no
	// error; after one, nothing more can be asked.
	translate([]bpf.FoveaTranslation) error
	io.Closer
}

// openTracking returns a way that works here. The caller must close it.
func openTracking(cfg Config, load func(string) (*ebpf.Program, error)) (tracking, error) {
	byProgram := errors.New("a program looks into the network namespace of who runs it")
	if cfg.NetNS == "" {
		var p *program
		if p, byProgram = openProgram(load); byProgram == nil {
			return p, nil
		}
	}
	c, err := openConntrack(cfg.NetNS)
	if err != nil {
		return nil, fmt.Errorf("%w; by netlink: %w", byProgram, err)
	}
	cfg.Log.Info("Connection tracking is asked by netlink, as no program can", "error", byProgram)
	return c, nil
}

// Translate asks the kernel's connection tracking about connections, by the
// addresses, ports and protocol that are set, and sets the rest of those that it
// finds. A connection can be found once its first packet has gone through the
// node. It is for one goroutine. If the kernel cannot be asked nothing is found,
// which the log tells once.
func (d *Datapath) Translate(list []bpf.FoveaTranslation) {
	if d.tracking == nil || len(list) == 0 {
		return
	}
	if err := d.tracking.translate(list); err != nil {
		d.log.Warn("Backends of services are not known: connection tracking cannot be asked", "error", err)
		d.tracking.Close()
		d.tracking = nil
	}
}

// program asks by a program, which looks into the network namespace of the thread
// that runs it. One call of the kernel serves several connections: a look-up is
// then some 100 ns, where asking by netlink is some microseconds.
type program struct{ *ebpf.Program }

// openProgram loads the program and has it look for nothing: it is of use only
// where it may be run, too.
func openProgram(load func(string) (*ebpf.Program, error)) (*program, error) {
	loaded, err := load(bpf.FoveaProgTranslate)
	if err != nil {
		return nil, err
	}
	p := &program{loaded}
	if err := p.translate(make([]bpf.FoveaTranslation, 1)); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *program) translate(list []bpf.FoveaTranslation) error {
	for len(list) > 0 {
		some := list[:min(len(list), translationsAtOnce)]
		list = list[len(some):]
		size := len(some) * int(unsafe.Sizeof(some[0]))
		data := unsafe.Slice((*byte)(unsafe.Pointer(&some[0])), size)
		// The kernel reads all before it writes.
		if _, err := p.Run(&ebpf.RunOptions{Data: data, DataOut: data}); err != nil {
			return fmt.Errorf("run %s: %w", bpf.FoveaProgTranslate, err)
		}
	}
	return nil
}

package process

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// TestHeld runs a program of this process and reads how long it ran, and its map.
func TestHeld(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: to load BPF programs")
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "held_map", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	check(t, err)
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "held_program", Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	check(t, err)
	defer p.Close()
	o, err := Held(os.Getpid())
	check(t, err)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	check(t, err)
	defer stats.Close()
	before, err := o.RunTime()
	check(t, err)
	_, err = p.Run(&ebpf.RunOptions{Data: make([]byte, 14), Repeat: 1000})
	check(t, err)
	after, err := o.RunTime()
	check(t, err)
	if after <= before {
		t.Errorf("programs ran for %v, and %v before", after, before)
	}
	if but, err := o.RunTime("none", "held_"); err != nil || but != 0 {
		t.Errorf("others ran for %v: %v", but, err)
	}

	check(t, m.Put(uint32(0), uint32(7)))
	found, err := o.Map("held_map")
	check(t, err)
	defer found.Close()
	var value uint32
	if err := found.Lookup(uint32(0), &value); err != nil || value != 7 {
		t.Errorf("the map has %d: %v", value, err)
	}
	if none, err := o.Map("held"); err == nil {
		t.Errorf("there is %v", none)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

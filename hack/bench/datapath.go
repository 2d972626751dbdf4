package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/bpf"
	benchbpf "github.com/fovea-obs/fovea/hack/bench/bpf"
)

const (
	// packetTurns is how often program and baseline take turns, packetRuns how
	// many packets each gets in a turn.
	packetTurns = 9
	packetRuns  = 400_000
)

// benchDatapath measures the program at an endpoint's interface for one
// connection, whose memory is in the cache, and for 65,536 that take turns at
// random, and the one at an interface to the network for what is not the node's,
// against a minimal program. What the harness takes is subtracted.
func benchDatapath(context.Context, string) (_ []result, err error) {
	var h benchbpf.BenchObjects
	if err := benchbpf.LoadBenchObjects(&h, nil); err != nil {
		return nil, fmt.Errorf("load the harness: %w", err)
	}
	defer h.Close()
	var results []result
	for _, m := range []struct {
		name    string
		harness *ebpf.Program
		program string
	}{
		{"datapath.hot", h.Hot, bpf.FoveaProgFromEndpoint}, {"datapath.cold", h.Cold, bpf.FoveaProgFromEndpoint},
		{"datapath.passing", h.Hot, bpf.FoveaProgToNetwork},
	} {
		r, err := comparePrograms(m.name, &h, m.harness, m.program)
		if err != nil {
			return results, fmt.Errorf("%s: %w", m.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func comparePrograms(name string, h *benchbpf.BenchObjects, harness *ebpf.Program, program string) (_ result, err error) {
	d, ours, err := openDatapath(true, program)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, ours.Close(), d.Close()) }()
	cost := func(p *ebpf.Program) (float64, error) {
		if err := h.Target.Put(uint32(0), p); err != nil {
			return 0, fmt.Errorf("choose the program: %w", err)
		}
		_, t, err := harness.Benchmark(ackPacket(), packetRuns, nil)
		return float64(t.Nanoseconds()), err
	}
	var values, baselines []float64
	for turn := range packetTurns {
		var ns [3]float64
		for i, p := range []*ebpf.Program{h.Nothing, h.Minimal, ours} {
			if ns[i], err = cost(p); err != nil {
				return result{}, err
			}
		}
		// The first turn fills the maps.
		if turn > 0 {
			baselines = append(baselines, ns[1]-ns[0])
			values = append(values, ns[2]-ns[0])
		}
	}
	return compared(name, "ns/packet", "minimal program", values, baselines), nil
}

// openDatapath opens a datapath as an agent does, and finds its program of this
// name.
func openDatapath(aggregate bool, program string) (*datapath.Datapath, *ebpf.Program, error) {
	d, err := datapath.Open(datapath.Config{
		Attach: datapath.AttachAuto, Aggregate: aggregate, Interval: 5 * time.Second,
		Connections: 131072, RingSize: 4 << 20,
		Exclude: []string{"*"}, Interfaces: nobody{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, nil, err
	}
	p, err := newestProgram(program)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return d, p, nil
}

// newestProgram is the program of this name that was loaded last.
func newestProgram(name string) (found *ebpf.Program, err error) {
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); err != nil {
			break
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			// It went between the two calls.
			continue
		}
		if info, err := p.Info(); err != nil || info.Name != name {
			p.Close()
			continue
		}
		found.Close()
		found = p
	}
	if found == nil {
		return nil, fmt.Errorf("find program %s: %w", name, err)
	}
	return found, nil
}

// nobody wants to know of interfaces.
type nobody struct{}

func (nobody) LinkUp(uint32, string)                       {}
func (nobody) SetFarMAC(uint32, [6]byte)                   {}
func (nobody) SetFarAddresses(uint32, []netip.Addr, int64) {}
func (nobody) LinkDown(uint32)                             {}
func (nobody) SetHostAddresses([]netip.Addr)               {}

// ackPacket is a TCP segment in the middle of a connection.
func ackPacket() []byte {
	b := make([]byte, 14+20+20+24)
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip := b[14:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8], ip[9] = 64, 6
	copy(ip[12:], []byte{10, 0, 0, 1})
	copy(ip[16:], []byte{10, 1, 0, 1})
	tcp := ip[20:]
	binary.BigEndian.PutUint16(tcp[0:], 40000)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 5<<4, 0x10
	return b
}

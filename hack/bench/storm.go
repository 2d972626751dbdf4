package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/fovea-obs/fovea/hack/lab"
	"github.com/fovea-obs/fovea/hack/process"
)

const (
	stormPort    = 7777
	stormRate    = 1_000_000 // a second
	stormSeconds = 5
	// stormStep is long: to have the first of many frames received takes time.
	stormStep = 50 * time.Millisecond
	// stormBound is how much of a core the agent may take.
	stormBound = 0.5
	// xdpPass is XDP_PASS, xdpLive is BPF_F_TEST_XDP_LIVE_FRAMES.
	xdpPass = 2
	xdpLive = 1 << 1
)

// benchStorm has the kernel drop a million packets a second of a pod's, and
// measures what that costs the agent, and how many of them are not told in the end.
func benchStorm(ctx context.Context, dir string) (_ []result, err error) {
	l, node, pods, err := newLab(2)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if _, err := node.AddDrop(lab.Drop{Protocol: lab.UDP, Port: stormPort, Hook: lab.Forward}); err != nil {
		return nil, err
	}
	a, err := process.Start(ctx, process.Config{
		Program: program(dir), Node: node, Dir: dir, Endpoints: endpointsFile(pods), Log: os.Stderr,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	since := time.Now()
	before, err := processCPU(a.PID())
	if err != nil {
		return nil, err
	}
	sent, took, err := storm(ctx, node, pods)
	if err != nil {
		return nil, err
	}
	after, err := processCPU(a.PID())
	if err != nil {
		return nil, err
	}
	told, lost, err := toldOfStorm(ctx, a, since, sent)
	if err != nil {
		return nil, err
	}
	return []result{
		bounded("drops.storm", "cores", (after-before).Seconds()/took.Seconds(), stormBound),
		{"drops.storm.rate", float64(sent) / took.Seconds(), "drops/s", "wanted", stormRate, float64(sent) / took.Seconds() / stormRate},
		{"drops.storm.missing", float64(sent) - float64(told), "drops", "drops made", float64(sent), (float64(sent) - float64(told)) / float64(sent)},
		{"drops.storm.lost", float64(lost), "events", "none", 0, 0},
	}, nil
}

// storm has frames received at a pod's interface as if the pod sent them, and
// returns how many in what time. Each core has its share: one alone makes fewer
// drops a second than are asked for.
func storm(ctx context.Context, node *lab.Node, pods []*lab.Pod) (sent uint64, took time.Duration, err error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("load a program that passes frames on: %w", err)
	}
	defer p.Close()
	senders := uint64(runtime.NumCPU())
	done := make([]uint64, senders)
	errs := make([]error, senders)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() { done[i], errs[i] = sendStorm(ctx, node, pods, p, stormRate/senders) })
	}
	wg.Wait()
	for _, n := range done {
		sent += n
	}
	return sent, time.Since(start), errors.Join(errs...)
}

// sendStorm has so many frames received a second, by one thread.
func sendStorm(ctx context.Context, node *lab.Node, pods []*lab.Pod, p *ebpf.Program, rate uint64) (sent uint64, err error) {
	err = node.NS.Do(func() error {
		link, err := net.InterfaceByIndex(pods[0].HostLink)
		if err != nil {
			return fmt.Errorf("find the pod's interface: %w", err)
		}
		frame := stormFrame(link.HardwareAddr, pods)
		// struct xdp_md: what is not named is 0, and the data ends where it does.
		md := make([]byte, 24)
		binary.NativeEndian.PutUint32(md[4:], uint32(len(frame)))
		binary.NativeEndian.PutUint32(md[12:], uint32(pods[0].HostLink))
		// A signal would have the frames received again.
		defer holdSignals()()
		start := time.Now()
		step := rate * uint64(stormStep) / uint64(time.Second)
		for sent < rate*stormSeconds && ctx.Err() == nil {
			if due := uint64(time.Since(start)/stormStep+1) * step; sent >= due {
				pause := unix.NsecToTimespec(int64(stormStep / 4))
				_ = unix.Nanosleep(&pause, nil)
				continue
			}
			_, err := p.Run(&ebpf.RunOptions{Data: frame, Context: md, Repeat: uint32(step), Flags: xdpLive})
			if err != nil {
				return fmt.Errorf("have frames received: %w", err)
			}
			sent += step
		}
		return ctx.Err()
	})
	return sent, err
}

// stormFrame is a datagram of UDP from the first pod to the second, by the node.
func stormFrame(gateway net.HardwareAddr, pods []*lab.Pod) []byte {
	b := make([]byte, 14+20+8)
	copy(b, gateway)
	b[6] = 2
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], 28)
	copy(ip[12:], pods[0].IPv4.AsSlice())
	copy(ip[16:], pods[1].IPv4.AsSlice())
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(ip[20:], 40000)
	binary.BigEndian.PutUint16(ip[22:], stormPort)
	binary.BigEndian.PutUint16(ip[24:], 8)
	return b
}

// toldOfStorm waits until so many drops are told, or what is left has not come for
// some seconds.
func toldOfStorm(ctx context.Context, a *process.Agent, since time.Time, sent uint64) (told, lost uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	flows, err := a.Client.GetFlows(ctx, &observerpb.GetFlowsRequest{
		Follow: true, Since: timestamppb.New(since),
		Whitelist: []*flowpb.FlowFilter{{DestinationPort: []string{strconv.Itoa(stormPort)}, Verdict: []flowpb.Verdict{flowpb.Verdict_DROPPED}}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("ask for flows: %w", err)
	}
	for told < sent {
		r, err := flows.Recv()
		if err != nil {
			if ctx.Err() != nil {
				return told, lost, nil
			}
			return told, lost, fmt.Errorf("read flows: %w", err)
		}
		lost += r.GetLostEvents().GetNumEventsLost()
		var more structpb.Struct
		if r.GetFlow().GetExtensions().UnmarshalTo(&more) == nil {
			told += uint64(more.Fields["packets"].GetNumberValue())
		}
	}
	return told, lost, nil
}

// processCPU is what a process has spent of the CPU: its own and the kernel's for it.
func processCPU(pid int) (time.Duration, error) {
	// The kernel makes the number of a process's clock of its own: one of the
	// scheduler (2), of all threads.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

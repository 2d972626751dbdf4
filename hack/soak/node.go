package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/history"
	"github.com/fovea-obs/fovea/agent/ingest"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
	"github.com/fovea-obs/fovea/bpf"
)

const (
	livePods  = 500
	addresses = 1000
	// lifeEvents is after how many events a pod is replaced by another, and
	// tick the time between two events, in nanoseconds.
	lifeEvents = 500
	tick       = 100_000
	flushEvery = 256
)

// node is the writer's side: pods that come and go, and an ingest.
type node struct {
	ingest *ingest.Ingest
	// pods are the serial numbers of those that live.
	pods [livePods]uint64
	// serial is how many pods there were, written how many events.
	serial, written uint64
}

func newNode() (*node, error) {
	h, err := history.New(128 << 20)
	if err != nil {
		return nil, err
	}
	endpoints := endpoint.NewTable("default")
	n := &node{ingest: &ingest.Ingest{
		History: h, Endpoints: endpoints, Services: service.NewTable("default", endpoints),
		Names: dns.NewTable(), Fates: fate.NewTable(), MACs: mac.NewTable(), Policies: policy.NewTable(endpoints),
	}}
	for i := range n.pods {
		n.start(i)
	}
	return n, nil
}

func (n *node) now() int64 { return int64(n.written)*tick + 1 }

// start puts a new pod in place i. Its address was some other's not long ago.
func (n *node) start(i int) {
	n.serial++
	n.pods[i] = n.serial
	name := podName(n.serial)
	n.ingest.Endpoints.Set(key(i), endpoint.Binding{
		Endpoint: endpoint.ForPod("default", "shop", name, map[string]string{
			"app": name, "pod-template-hash": strconv.FormatUint(n.serial, 36),
		}, []endpoint.Workload{{Kind: "Deployment", Name: name}}),
		Addresses: []netip.Addr{address(n.serial)},
	}, n.now())
}

func key(i int) string { return strconv.Itoa(i) }

func podName(serial uint64) string { return "pod-" + strconv.FormatUint(serial, 10) }

func address(serial uint64) netip.Addr {
	a := serial % addresses
	return netip.AddrFrom4([4]byte{10, 1, byte(a >> 8), byte(a)})
}

// event writes that a pod was sent something. What says which pod is the number
// of packets.
func (n *node) event() {
	if n.written%lifeEvents == 0 {
		n.start(int(n.written / lifeEvents % livePods))
	}
	serial := n.pods[n.written*7919%livePods]
	e := bpf.FoveaEvent{
		Kind: uint8(bpf.FoveaEventKindEVENT_TRACE), Protocol: 6, Sport: uint16(n.written), Dport: 80,
		Packets: serial, Bytes: 60, TcpFlags: 2,
	}
	e.Src.Words, e.Dst.Words = words(netip.AddrFrom4([4]byte{192, 0, 2, 1})), words(address(serial))
	n.ingest.Event(&e, n.now())
	if n.written++; n.written%flushEvery == 0 {
		n.ingest.Flush(time.Now().UnixNano())
	}
}

func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// resident is this process's memory in MiB.
func resident() (float64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("read the memory in use: %w", err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory in use: %w", err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20), nil
}

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/fovea-obs/fovea/agent/datapath"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/bpf"
	"github.com/fovea-obs/fovea/hack/lab"
)

const (
	lookupTurns = 9
	lookupPods  = 10_000
	lookupLocal = 100
	lookupEnds  = 1 << 20 // of each kind
	lookupBound = 60.0    // ns

	natTurns       = 9
	natConnections = 512
	natRounds      = 64
	natPort        = 53
)

// benchLookup measures what it takes to find who a flow's ends are, one behind an
// interface of this node and one by its address, among the pods of a large cluster.
func benchLookup(ctx context.Context, _ string) ([]result, error) {
	table := endpoint.NewTable("default")
	table.Await(5 * time.Second)
	for i := range lookupPods {
		name := fmt.Sprintf("pod-%d", i)
		b := endpoint.Binding{
			Endpoint:  endpoint.ForPod("default", "shop", name, map[string]string{"app": name}, nil),
			Addresses: []netip.Addr{podAddress(i)},
		}
		if i < lookupLocal {
			b.Interface = fmt.Sprint("veth", i)
			table.LinkUp(uint32(i), b.Interface)
		}
		table.Set(name, b, 0)
	}
	addrs := make([]netip.Addr, 1<<16)
	for i := range addrs {
		addrs[i] = podAddress(rand.IntN(lookupPods))
	}
	var values []float64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range lookupTurns {
		begun, found := time.Now(), 0
		for i := range lookupEnds {
			local, remote := table.Ends(uint32(i%lookupLocal), addrs[i%len(addrs)], 1)
			if local > endpoint.RemoteNode && remote > endpoint.RemoteNode {
				found++
			}
		}
		values = append(values, float64(time.Since(begun).Nanoseconds())/(2*lookupEnds))
		if found != lookupEnds {
			return nil, fmt.Errorf("%d of %d addresses found", found, lookupEnds)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / (2 * lookupTurns * lookupEnds)
	return []result{
		bounded("lookup", "ns/end", median(values), lookupBound),
		{"lookup.allocs", allocs, "allocations/end", "none", 0, 0},
	}, nil
}

func podAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// benchNAT measures what it adds to a new connection with a service that the
// kernel is asked for the pod behind it: of several at once, over one at a time.
func benchNAT(ctx context.Context, _ string) (_ []result, err error) {
	l, node, pods, err := newLab(2)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	vip := netip.MustParseAddrPort("10.96.0.50:53")
	backend := netip.AddrPortFrom(pods[1].IPv4, natPort)
	if _, err := node.AddService(lab.Service{
		Name: "dns", VIP: vip, Protocol: lab.UDP, Backends: []netip.AddrPort{backend},
	}); err != nil {
		return nil, err
	}
	server, err := lab.ServeUDPEcho(pods[1].NS, fmt.Sprintf(":%d", natPort))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var list []bpf.FoveaTranslation
	for range natConnections {
		t, err := ask(ctx, pods[0], vip)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	d, err := datapath.Open(datapath.Config{
		Attach: datapath.AttachAuto, Interval: time.Second, Connections: 1024, RingSize: 1 << 20,
		Exclude: []string{"*"}, Interfaces: nobody{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// The kernel looks into the namespace of who asks.
	var values, baselines []float64
	err = node.NS.Do(func() (err error) {
		values, baselines, err = inTurns(natTurns,
			func() (float64, error) { return askAbout(d, list, len(list), backend) },
			func() (float64, error) { return askAbout(d, list, 1, backend) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return []result{compared("nat.cost", "ns/connection", "one at a time", values, baselines)}, nil
}

// ask makes a connection and returns what to ask of it.
func ask(ctx context.Context, from *lab.Pod, to netip.AddrPort) (t bpf.FoveaTranslation, err error) {
	c, err := from.DialUDP(ctx, to)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.Write([]byte("?")); err != nil {
		return t, err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return t, err
	}
	local := netip.MustParseAddrPort(c.LocalAddr().String())
	return bpf.FoveaTranslation{Src: endOf(local), Dst: endOf(to), Protocol: 17}, nil
}

func endOf(a netip.AddrPort) (e bpf.FoveaEnd) {
	b := a.Addr().As16()
	for i := range e.Addr.Words {
		e.Addr.Words[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	e.Port = a.Port()
	return e
}

// askAbout asks about all connections, so many at once, and returns how long each
// took.
func askAbout(d *datapath.Datapath, list []bpf.FoveaTranslation, atOnce int, want netip.AddrPort) (float64, error) {
	begun := time.Now()
	for range natRounds {
		for i := 0; i < len(list); i += atOnce {
			d.Translate(list[i : i+atOnce])
		}
	}
	each := float64(time.Since(begun).Nanoseconds()) / float64(natRounds*len(list))
	for i := range list {
		if list[i].Found == 0 || list[i].WentDst != endOf(want) {
			return 0, fmt.Errorf("connection %d was not found to lead to %v", i, want)
		}
	}
	return each, nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

// serve answers at all addresses until the context ends.
func serve(ctx context.Context, w *report.Writer, onward *caller, tcp, udp []string) error {
	group, either := errgroup.WithContext(ctx)
	err := listen(either, group, w, onward, tcp, udp)
	if err != nil {
		group.Go(func() error { return err }) // which ends those that were begun
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// listen begins to answer in the group, until its context ends. Who reaches TCP
// reaches UDP.
func listen(ctx context.Context, group *errgroup.Group, w *report.Writer, onward *caller, tcp, udp []string) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	server := &http.Server{Handler: handler(w, onward)}
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	for _, address := range udp {
		packets, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return err
		}
		group.Go(func() error { return serveUDP(w, packets.(*net.UDPConn)) })
		group.Go(func() error {
			<-ctx.Done()
			return packets.Close()
		})
	}
	for _, address := range tcp {
		listener, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		group.Go(func() error { return server.Serve(listener) })
	}
	return nil
}

// handler answers a request, which is a connection's only one, after it has
// called onward.
func handler(w *report.Writer, onward *caller) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		remote, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		c := report.Connection{
			Event: report.Accepted, Protocol: "tcp", Local: addrPort(local), Remote: remote, Peer: r.Header.Get(tokenHeader),
		}
		if c.Peer == "" {
			return // a probe
		}
		if err := w.Write(c); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		if err := onward.callAll(r.Context()); err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		// A client that is gone needs no answer.
		_ = json.NewEncoder(rw).Encode(report.Answer{Server: w.Self(), Client: remote})
	}
}

// serveUDP answers datagrams from the address that they were sent to.
func serveUDP(w *report.Writer, conn *net.UDPConn) error {
	bound := addrPort(conn.LocalAddr())
	if bound.Addr().IsUnspecified() {
		if err := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true); err != nil {
			return fmt.Errorf("ask for datagrams' addresses: %w", err)
		}
	}
	buf, control := make([]byte, 1<<10), make([]byte, 1<<7)
	for {
		n, nc, _, from, err := conn.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			return err
		}
		local := bound
		if nc > 0 {
			var info ipv6.ControlMessage
			if err := info.Parse(control[:nc]); err != nil {
				return fmt.Errorf("read a datagram's address: %w", err)
			}
			addr, _ := netip.AddrFromSlice(info.Dst)
			local = netip.AddrPortFrom(addr, bound.Port())
		}
		c := report.Connection{Event: report.Accepted, Protocol: "udp", Local: local, Remote: from, Peer: string(buf[:n])}
		if err := w.Write(c); err != nil {
			return err
		}
		answer, err := json.Marshal(report.Answer{Server: w.Self(), Client: from})
		if err != nil {
			return err
		}
		// Where it was sent to is where the answer comes from. One that cannot be
		// sent is lost, as datagrams may be.
		_, _, _ = conn.WriteMsgUDPAddrPort(answer, control[:nc], from)
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer collects the reports of a workload that runs.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) reports(t *testing.T) []report.Connection {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := report.Read(bytes.NewReader(b.text.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// freePort is a port that nobody has, for both protocols.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a server until the test ends.
func start(t *testing.T, self string, args ...string) (address string, out *buffer) {
	t.Helper()
	address, out = freePort(t), &buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- run(ctx, append([]string{"server", "-tcp", address, "-udp", address}, args...), report.NewWriter(out, self))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for { // until it listens, or the test is over
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address, out
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBothEndsReport(t *testing.T) {
	for _, scheme := range []string{"http", "udp"} {
		t.Run(scheme, func(t *testing.T) {
			address, server := start(t, "shop/server")
			var client buffer
			err := run(t.Context(), []string{"client", "-count", "1", scheme + "://" + address}, report.NewWriter(&client, "shop/client"))
			if err != nil {
				t.Fatal(err)
			}
			called, accepted := client.reports(t)[0], server.reports(t)[0]
			if called.Local != accepted.Remote || called.Remote != accepted.Local || called.Seen != called.Local {
				t.Errorf("client %+v, server %+v", called, accepted)
			}
			if called.Peer != "shop/server" || accepted.Peer != "shop/client" || called.Remote.String() != address {
				t.Errorf("client %+v, server %+v", called, accepted)
			}
		})
	}
}

func TestAnswersFromTheAddressAsked(t *testing.T) {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	var server buffer
	done := make(chan error)
	go func() { done <- serveUDP(report.NewWriter(&server, "shop/server"), conn) }()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		var client buffer
		err := run(t.Context(), []string{"client", "-count", "1", "udp://" + net.JoinHostPort(host, port)}, report.NewWriter(&client, "shop/client"))
		if err != nil {
			t.Error(err)
		}
	}
	conn.Close()
	<-done
	if got := server.reports(t); len(got) != 2 || got[0].Local.Addr().String() != "127.0.0.1" || got[1].Local.Addr().String() != "127.0.0.2" {
		t.Errorf("server %+v", got)
	}
}

func TestServerCallsOnward(t *testing.T) {
	back, reports := start(t, "shop/back")
	front, _ := start(t, "shop/front", "http://"+back)
	var client buffer
	if err := run(t.Context(), []string{"client", "-count", "2", "-interval", "1ms", "http://" + front}, report.NewWriter(&client, "shop/client")); err != nil {
		t.Fatal(err)
	}
	if got := reports.reports(t); len(got) != 2 || got[0].Peer != "shop/front" {
		t.Errorf("back was called by %+v", got)
	}
}

func TestFailureIsReported(t *testing.T) {
	front, _ := start(t, "shop/front", "http://"+freePort(t))
	for name, target := range map[string]string{"refused": freePort(t), "onward": front} {
		var client buffer
		err := run(t.Context(), []string{"client", "-count", "1", "http://" + target}, report.NewWriter(&client, "shop/client"))
		if got := client.reports(t); err == nil || len(got) != 1 || got[0].Error == "" || got[0].Remote.String() != target {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}

func TestCallsAtOnceFromPortsAsked(t *testing.T) {
	other := freePort(t)
	address, server := start(t, "shop/server", "-udp", freePort(t)+","+other)
	_, first, _ := net.SplitHostPort(freePort(t))
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var client buffer
	err = run(t.Context(), []string{"client", "-count", "1", "-at-once", "-timeout", "100ms", "-from", first,
		"http://" + address, "udp://" + other, "udp://" + silent.LocalAddr().String()}, report.NewWriter(&client, "shop/client"))
	if err == nil {
		t.Error("nobody answers one of the calls, which is no error")
	}
	ports := map[string]string{}
	for _, r := range client.reports(t) {
		ports[r.Remote.String()] = fmt.Sprint(r.Local.Port(), r.Error != "")
	}
	n, _ := strconv.Atoi(first)
	want := map[string]string{
		address: fmt.Sprint(n, false), other: fmt.Sprint(n+1, false), silent.LocalAddr().String(): fmt.Sprint(n+2, true),
	}
	if !maps.Equal(ports, want) {
		t.Errorf("called from %v, want %v", ports, want)
	}
	if got := server.reports(t); len(got) != 2 {
		t.Errorf("server %+v", got)
	}
}

func TestCallsGoAround(t *testing.T) {
	c := &caller{report: report.NewWriter(&buffer{}, "shop/client")}
	u := &url.URL{Scheme: "http", Host: "localhost:1"}
	seen := map[netip.Addr]bool{}
	for n := range 4 {
		var r report.Connection
		r.Protocol = "tcp"
		if err := c.try(t.Context(), u, n, &r); err == nil {
			t.Fatal("something listens on port 1")
		}
		seen[r.Remote.Addr()] = true
	}
	addrs, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if !seen[a.Unmap()] {
			t.Errorf("called %v of %v", seen, addrs)
		}
	}
}

func TestRefusesWhatItCannotDo(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"client"}, {"client", "http://host"}, {"client", "ftp://host:1"}, {"client", "-none"}, {"client", "-from", "65535", "http://host:1"}} {
		if err := run(t.Context(), args, report.NewWriter(&buffer{}, "")); err == nil {
			t.Errorf("%q passed", args)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

const (
	// callTimeout is how long a call may take, with what the server calls, if
	// nothing else is said.
	callTimeout = 5 * time.Second
	// tokenHeader is where a client says who it is.
	tokenHeader = "X-Workload"
)

// caller calls its targets.
type caller struct {
	report  *report.Writer
	targets []*url.URL
	timeout time.Duration
	// atOnce is for all targets of a round at once, and not one after the other.
	atOnce bool
	// from is the port that the first target is called from, the next for the
	// second and so on; 0 for any.
	from  uint16
	calls atomic.Int64
}

// repeat calls all targets at an interval. It returns nil when the context ends.
func (c *caller) repeat(ctx context.Context, interval time.Duration, count int) error {
	if len(c.targets) == 0 {
		return errors.New("no URL to call")
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var failed error
	for round := 1; ; round++ {
		failed = errors.Join(failed, c.callAll(ctx))
		if round == count {
			return failed
		}
		if count == 0 {
			failed = nil // it was reported
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// callAll calls each target once.
func (c *caller) callAll(ctx context.Context) error {
	errs := make([]error, len(c.targets))
	n := int(c.calls.Add(1))
	var calls sync.WaitGroup
	for i, t := range c.targets {
		calls.Go(func() { errs[i] = c.call(ctx, t, i, n) })
		if !c.atOnce {
			calls.Wait()
		}
	}
	calls.Wait()
	return errors.Join(errs...)
}

// call makes one connection to the i-th target and reports it. The n-th call takes
// the n-th of the target's addresses, around and around.
func (c *caller) call(ctx context.Context, t *url.URL, i, n int) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r := report.Connection{Event: report.Called, Protocol: "tcp", Name: t.Hostname()}
	if t.Scheme == "udp" {
		r.Protocol = "udp"
	}
	if c.from != 0 {
		r.Local = netip.AddrPortFrom(netip.IPv4Unspecified(), c.from+uint16(i))
	}
	err := c.try(ctx, t, n, &r)
	if err != nil {
		err = fmt.Errorf("call %s: %w", t, err)
		r.Error = err.Error()
	}
	return errors.Join(err, c.report.Write(r))
}

func (c *caller) try(ctx context.Context, t *url.URL, n int, r *report.Connection) error {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Hostname())
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(t.Port(), 10, 16)
	if err != nil {
		return err
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	r.Remote = netip.AddrPortFrom(addrs[n%len(addrs)].Unmap(), uint16(port))
	d := net.Dialer{LocalAddr: localAddr(r)}
	d.SetMultipathTCP(false)
	conn, err := d.DialContext(ctx, r.Protocol, r.Remote.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	r.Local = addrPort(conn.LocalAddr())
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	ask := c.askHTTP
	if r.Protocol == "udp" {
		ask = c.askUDP
	}
	answer, err := ask(ctx, conn, t)
	r.Peer, r.Seen = answer.Server, answer.Client
	return err
}

// localAddr is the address to call from, nil for any.
func localAddr(r *report.Connection) net.Addr {
	switch port := int(r.Local.Port()); {
	case port == 0:
		return nil
	case r.Protocol == "udp":
		return &net.UDPAddr{Port: port}
	default:
		return &net.TCPAddr{Port: port}
	}
}

// askHTTP makes one request on the connection.
func (c *caller) askHTTP(ctx context.Context, conn net.Conn, t *url.URL) (a report.Answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.String(), nil)
	if err != nil {
		return a, err
	}
	req.Header.Set(tokenHeader, c.report.Self())
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("answered %s", resp.Status)
	}
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

// askUDP sends who this is and reads the answer.
func (c *caller) askUDP(_ context.Context, conn net.Conn, _ *url.URL) (a report.Answer, err error) {
	if _, err := conn.Write([]byte(c.report.Self())); err != nil {
		return a, err
	}
	buf := make([]byte, 1<<10)
	n, err := conn.Read(buf)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(buf[:n], &a)
}

// addrPort is the address of a TCP or UDP socket.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

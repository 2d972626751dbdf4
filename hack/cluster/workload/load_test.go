package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// runLoad runs a load for a while and returns what it tells.
func runLoad(t *testing.T, lasts time.Duration, args ...string) tally {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var out bytes.Buffer
	if err := dispatch(ctx, append([]string{"load"}, args...), "", &out); err != nil {
		t.Fatal(err)
	}
	var sum tally
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	return sum
}

// startAnswer answers at a port until the test ends, and returns it.
func startAnswer(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(freePort(t))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- dispatch(ctx, []string{"answer", "-ports", port}, "", nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for { // until it listens, or the test is over
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return port
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLoadIsAnswered(t *testing.T) {
	const rate, sockets, lasts = 1000, 16, time.Second
	for _, scheme := range []string{"tcp", "udp"} {
		t.Run(scheme, func(t *testing.T) {
			sum := runLoad(t, lasts, "-rate", strconv.Itoa(rate), "-ports", startAnswer(t), "-sockets", strconv.Itoa(sockets), scheme+"://127.0.0.1")
			if sum.Asked == 0 || sum.Asked > rate {
				t.Errorf("%+v, want no more than %d asked", sum, rate)
			}
			// The last answers of UDP are not waited for.
			if sum.Error != "" || sum.Answered < sum.Asked-sockets {
				t.Errorf("%+v, want all answered", sum)
			}
		})
	}
}

// listenInRow listens at two ports of which the second follows the first.
func listenInRow(t *testing.T) (a, b *net.UDPConn) {
	t.Helper()
	local := net.IPv4(127, 0, 0, 1)
	for range 100 { // another may have the next
		a, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		b, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local, Port: int(addrPort(a.LocalAddr()).Port()) + 1})
		if err == nil {
			t.Cleanup(func() { b.Close() })
			return a, b
		}
	}
	t.Fatal("no two free ports in a row")
	return nil, nil
}

// TestLoadIsEverNew holds that no source port asks a port again before it has asked
// all others.
func TestLoadIsEverNew(t *testing.T) {
	const sockets = 8
	a, b := listenInRow(t)
	first := addrPort(a.LocalAddr()).Port()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- dispatch(ctx, []string{"load", "-sockets", strconv.Itoa(sockets), "-ports", fmt.Sprintf("%d-%d", first, first+1), "udp://127.0.0.1"}, "", &bytes.Buffer{})
	}()
	seen := map[netip.AddrPort]bool{}
	for _, conn := range []*net.UDPConn{a, b, a} {
		round := map[netip.AddrPort]bool{}
		for range sockets {
			_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			round[from], seen[from] = true, true
		}
		if len(round) != sockets {
			t.Errorf("asked from %d ports in a round, want %d", len(round), sockets)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(seen) != sockets {
		t.Errorf("asked from %d ports, want %d", len(seen), sockets)
	}
}

func TestLoadTellsOfFailures(t *testing.T) {
	_, port, _ := net.SplitHostPort(freePort(t))
	if sum := runLoad(t, 100*time.Millisecond, "-ports", port, "tcp://127.0.0.1"); sum.Asked == 0 || sum.Answered > 0 || sum.Error == "" {
		t.Errorf("%+v of a port at which nobody listens", sum)
	}
}

func TestParsePorts(t *testing.T) {
	for _, tt := range []struct {
		text string
		want ports
	}{
		{"80", ports{80, 80}}, {"80-82", ports{80, 82}}, {"1-65535", ports{1, 65535}},
		{"", ports{}}, {"0", ports{}}, {"82-80", ports{}}, {"80-", ports{}}, {"80-65536", ports{}}, {"a-b", ports{}},
	} {
		if got, err := parsePorts(tt.text); got != tt.want || (err != nil) != (tt.want == ports{}) {
			t.Errorf("%q: %v, %v", tt.text, got, err)
		}
	}
}

func TestManyRefusesWhatItCannotDo(t *testing.T) {
	for _, args := range [][]string{
		{"load"}, {"load", "tcp://127.0.0.1", "tcp://127.0.0.1"}, {"load", "http://127.0.0.1"}, {"load", "udp://[::1]"},
		{"load", "tcp://127.0.0.1:80"}, {"load", "-rate", "0", "tcp://127.0.0.1"}, {"load", "-ports", "0", "tcp://127.0.0.1"},
		{"answer", "tcp://127.0.0.1"}, {"answer", "-none"},
	} {
		if err := dispatch(t.Context(), args, "", &bytes.Buffer{}); err == nil {
			t.Errorf("%q passed", args)
		}
	}
}

package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab/capture"
)

// dial connects from the client's pod to the first server's.
func (v *testLab) dial(t *testing.T, ipv6 bool, port uint16, timeout time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	c, err := v.client.DialTCP(ctx, netip.AddrPortFrom(v.servers[0].Addr(ipv6), port))
	if err != nil {
		return err
	}
	return c.Close()
}

func TestDrop(t *testing.T) {
	v := newTestLab(t)
	serveEcho(t, v.servers[0].NS, ":80")
	serveEcho(t, v.servers[0].NS, ":81")
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		rule, err := v.near.AddDrop(Drop{
			Source: host(v.client.Addr(ipv6)), Destination: host(v.servers[0].Addr(ipv6)), Protocol: TCP, Port: 80,
		})
		check(t, err)
		c := startCapture(t, v.near.NS, v.client.Interface, uplinkName)
		err = v.dial(t, ipv6, 80, 100*time.Millisecond)
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial through drop: %v", err)
		}
		r := stopCapture(t, c)
		fromPod := r.Sum(func(k capture.Key) bool { return k.Interface == v.client.HostLink && k.DstPort == 80 })
		toOther := r.Sum(func(k capture.Key) bool { return k.Interface != v.client.HostLink && k.DstPort == 80 })
		if fromPod.SYNs == 0 || toOther.Packets != 0 {
			t.Errorf("%d SYNs from the pod, %d packets behind the drop", fromPod.SYNs, toOther.Packets)
		}
		if n, err := rule.Packets(); err != nil || n != fromPod.Packets {
			t.Errorf("the rule has matched %d packets (%v), want %d", n, err, fromPod.Packets)
		}
		check(t, v.dial(t, ipv6, 81, 10*time.Second))
		check(t, rule.Remove())
		check(t, v.dial(t, ipv6, 80, 10*time.Second))
	})
}

func TestReject(t *testing.T) {
	v := newTestLab(t)
	serveEcho(t, v.servers[0].NS, ":80")
	forFamilies(t, func(t *testing.T, ipv6 bool) {
		for _, action := range []Action{Reject, Reset} {
			rule, err := v.far.AddDrop(Drop{Source: v.near.PodRange4, Protocol: TCP, Action: action})
			if ipv6 {
				check(t, rule.Remove())
				rule, err = v.far.AddDrop(Drop{Source: v.near.PodRange6, Protocol: TCP, Action: action})
			}
			check(t, err)
			if err := v.dial(t, ipv6, 80, 10*time.Second); !isRefused(err) {
				t.Errorf("dial through reject %d: %v", action, err)
			}
			check(t, rule.Remove())
		}
		check(t, v.dial(t, ipv6, 80, 10*time.Second))
	})
}

func TestDropInPod(t *testing.T) {
	v := newTestLab(t)
	serveEcho(t, v.servers[0].NS, ":80")
	for name, at := range map[string]struct {
		pod  *Pod
		hook Hook
	}{
		"server": {v.servers[0], Input},
		"client": {v.client, Output},
	} {
		t.Run(name, func(t *testing.T) {
			rule, err := at.pod.AddDrop(Drop{Hook: at.hook, Protocol: TCP, Port: 80, Action: Reset})
			check(t, err)
			if err := v.dial(t, false, 80, 10*time.Second); !isRefused(err) {
				t.Errorf("dial through reset: %v", err)
			}
			check(t, rule.Remove())
			check(t, v.dial(t, false, 80, 10*time.Second))
		})
	}
}

func TestDropChecks(t *testing.T) {
	v := newTestLab(t)
	for name, d := range map[string]Drop{
		"port without protocol": {Port: 80, Hook: Input},
		"reset without TCP":     {Action: Reset, Hook: Input},
		"unknown hook":          {Hook: 9},
		"forward in pod":        {},
	} {
		if _, err := v.client.AddDrop(d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

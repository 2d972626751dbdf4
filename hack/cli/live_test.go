package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
)

// patience is how long a send waits for hubble to print before it sends again.
const patience = 20 * time.Millisecond

// send has a pod ask another over IPv4 and waits for the answer. Again does so
// until the started hubble prints a line, and returns that.
func (s *script) send(t *testing.T, args []string) string {
	t.Helper()
	if len(args) < 3 {
		t.Fatal("send needs a protocol, who asks and whom")
	}
	ctx := testContext(t)
	for {
		check(t, s.ask(ctx, args[0], args[1], args[2]))
		if !slices.Contains(args, "again") {
			return ""
		}
		b := s.running(t)
		soon, cancel := context.WithTimeout(ctx, patience)
		line, err := b.out.await(soon, 1, b.done)
		cancel()
		if err == nil {
			return line
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("wait for hubble: %v", err)
		}
	}
}

// ask sends to a pod, or to the service, and waits for the answer.
func (s *script) ask(ctx context.Context, protocol, from, to string) error {
	pods := s.pods()
	client, server := pods[from], pods[to]
	if client == nil || (server == nil && to != "service") {
		return fmt.Errorf("no pod %s or %s", from, to)
	}
	addr := s.service.Addr()
	if server != nil {
		addr = server.IPv4
	}
	var err error
	switch protocol {
	case "udp":
		_, err = lab.UDPLoad{Target: netip.AddrPortFrom(addr, portDNS), Bytes: 30}.Run(ctx, client.NS)
	case "tcp":
		_, err = lab.TCPLoad{Target: netip.AddrPortFrom(addr, portWeb), Bytes: 30}.Run(ctx, client.NS)
	default:
		err = fmt.Errorf("unknown protocol %s", protocol)
	}
	return err
}

// edit changes the agent's endpoints file and returns what it logs of that.
func (s *script) edit(t *testing.T, changes string) string {
	t.Helper()
	content, err := os.ReadFile(s.agent.file)
	check(t, err)
	for line := range strings.Lines(changes) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || !bytes.Contains(content, []byte(from)) {
			t.Fatalf("edit: nothing to change: %s", line)
		}
		content = bytes.ReplaceAll(content, []byte(from), []byte(to))
	}
	check(t, s.agent.write(content))
	line, err := s.agent.logged(testContext(t), "ndpoints file")
	check(t, err)
	return normal(line)
}

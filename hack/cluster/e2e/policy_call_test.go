//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/fovea-obs/fovea/hack/cluster/workload/report"
)

const (
	// firstPort is what is called from first: each address gets a port of its own,
	// below those that others call from, by which its flows are found.
	firstPort = 20_000
	// noAnswer is how long a call waits for its answer.
	noAnswer = "1s"
)

// call is one of a script.
type call struct {
	line, from, scheme string
	attempts           []attempt
}

// attempt is the call of one of the addresses.
type attempt struct {
	to   netip.AddrPort
	port uint16 // that it is made from
	// answer is what the client said became of it.
	answer string
}

// parse reads a call of a script.
func (p *policyTest) parse(line string) (*call, error) {
	c := &call{line: line, scheme: "http"}
	var to, port string
	if _, err := fmt.Sscanf(line, "%s -> %s %s", &c.from, &to, &port); err != nil {
		return nil, fmt.Errorf("call %q: %w, want namespace/pod -> to port", line, err)
	}
	port, isUDP := strings.CutSuffix(port, "/UDP")
	if isUDP {
		c.scheme = "udp"
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("call %q: port: %w", line, err)
	}
	if p.addrs[to] == nil || p.addrs[c.from] == nil {
		return nil, fmt.Errorf("call %q: there is no such pod or target", line)
	}
	for _, a := range p.addrs[to] {
		c.attempts = append(c.attempts, attempt{to: netip.AddrPortFrom(a, uint16(number))})
	}
	return c, nil
}

// make makes calls at once: those of a pod by a process in it.
func (p *policyTest) make(ctx context.Context, calls []*call) error {
	byPod := map[string][]*attempt{}
	urls := map[string][]string{}
	for _, c := range calls {
		for i := range c.attempts {
			byPod[c.from] = append(byPod[c.from], &c.attempts[i])
			urls[c.from] = append(urls[c.from], c.scheme+"://"+c.attempts[i].to.String())
		}
	}
	var group errgroup.Group
	for from, attempts := range byPod {
		first := p.port
		for _, a := range attempts {
			a.port = p.port
			p.port++
		}
		group.Go(func() error {
			reports, err := p.run(ctx, from, first, urls[from])
			if err != nil {
				return err
			}
			for _, a := range attempts {
				i := slices.IndexFunc(reports, func(r report.Connection) bool { return r.Local.Port() == a.port })
				if i < 0 {
					return fmt.Errorf("%s says nothing of its call of %s", from, a.to)
				}
				a.answer = answer(&reports[i])
			}
			return nil
		})
	}
	return group.Wait()
}

// run calls URLs in a pod, and returns what was said of it.
func (p *policyTest) run(ctx context.Context, from string, first uint16, urls []string) ([]report.Connection, error) {
	namespace, name, _ := strings.Cut(from, "/")
	text, err := p.Kubectl(ctx, append([]string{"--namespace", namespace, "exec", name, "--", "/workload", "client",
		"-count", "1", "-at-once", "-timeout", noAnswer, "-from", strconv.Itoa(int(first))}, urls...)...)
	reports, readErr := report.Read(strings.NewReader(text))
	if readErr != nil || len(reports) == 0 { // it fails where nobody answers
		return nil, fmt.Errorf("call from %s: %w", from, errors.Join(err, readErr))
	}
	return reports, nil
}

// answer says who answered a call.
func answer(r *report.Connection) string {
	switch {
	case r.Error == "":
		return r.Peer + " answers"
	case strings.Contains(r.Error, "timeout") || strings.Contains(r.Error, "deadline exceeded"):
		return "no answer"
	}
	return r.Error
}

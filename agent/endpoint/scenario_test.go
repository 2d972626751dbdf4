package endpoint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the scripts in testdata. Their commands are
//
//	set key=k at=time [ip=address|(addresses)] [if=interface] [labels=(k=v, ...)] [local] [leaving]
//	remove key=k at=time
//	suggest, withdraw                   with what set and remove take
//	link-up index=number name=name
//	link-down index=number
//	far index=number at=time [ip=(addresses)]
//	nodes                               name address..., one a line; node1 is this one
//	await for=duration
//	await-list
//	listed [services=(addresses)]
//	waiting at=time                     the oldest flow that may still be told anew
//	flow id=name index=number ip=address at=time    who its ends are
//	told id=name                        who they are by now
//	host [ip=(addresses)]
//	api-servers [ip=(addresses)]
//	local index=number                  who is behind the interface
//	remote ip=address at=(times)        who had the address at each time
//	size                                how much the table holds
//	changes                             what watchers were told since the last time
//
// A pod is called shop/ and its key.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var changes strings.Builder
		table := NewTable("default", func(c Change) { changes.WriteString(c.line()) })
		flows := map[string][2]Number{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "changes" {
				defer changes.Reset()
				return changes.String()
			}
			return command(t, d, table, flows)
		})
	})
}

func command(t *testing.T, d *datadriven.TestData, table *Table, flows map[string][2]Number) string {
	switch d.Cmd {
	case "set", "suggest":
		b := Binding{Addresses: addresses(d, "ip"), Local: d.HasArg("local"), Leaving: d.HasArg("leaving")}
		if d.HasArg("if") {
			d.ScanArgs(t, "if", &b.Interface)
		}
		labels := map[string]string{}
		for _, l := range list(d, "labels") {
			k, v, _ := strings.Cut(l, "=")
			labels[k] = v
		}
		b.Endpoint = ForPod("default", "shop", list(d, "key")[0], labels, nil)
		tell := table.Set
		if d.Cmd == "suggest" {
			tell = table.Suggest
		}
		tell(list(d, "key")[0], b, times(t, d)[0])
	case "withdraw":
		table.Withdraw(list(d, "key")[0], times(t, d)[0])
	case "remove":
		table.Remove(list(d, "key")[0], times(t, d)[0])
	case "link-up":
		table.LinkUp(index(t, d), list(d, "name")[0])
	case "link-down":
		table.LinkDown(index(t, d))
	case "far":
		table.SetFarAddresses(index(t, d), addresses(d, "ip"), times(t, d)[0])
	case "await":
		w, err := time.ParseDuration(list(d, "for")[0])
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		table.Await(w)
	case "await-list":
		table.AwaitList()
	case "listed":
		services := addresses(d, "services")
		table.Listed(func(a netip.Addr) bool { return slices.Contains(services, a) })
	case "waiting":
		if at := table.Waiting(times(t, d)[0]); at != forever {
			return time.Duration(at).String() + "\n"
		}
		return "for nothing\n"
	case "flow":
		id := list(d, "id")[0]
		local, remote := table.Ends(index(t, d), addresses(d, "ip")[0], times(t, d)[0])
		flows[id] = [2]Number{local, remote}
		return show(table, local) + ", " + show(table, remote) + "\n"
	case "told":
		f := flows[list(d, "id")[0]]
		return show(table, f[0]) + ", " + show(table, f[1]) + "\n"
	case "nodes":
		table.SetNodes("node1", nodes(d.Input))
	case "host":
		table.SetHostAddresses(addresses(d, "ip"))
	case "api-servers":
		table.SetAPIServers(addresses(d, "ip"))
	case "local":
		return show(table, table.Local(index(t, d))) + "\n"
	case "remote":
		var out strings.Builder
		for i, at := range times(t, d) {
			who := table.Remote(addresses(d, "ip")[0], at)
			fmt.Fprintf(&out, "%s: %s\n", list(d, "at")[i], show(table, who))
		}
		return out.String()
	case "size":
		intervals := 0
		for _, a := range table.addrs {
			intervals += len(a.pods)
		}
		return fmt.Sprintf("%d versions, %d addresses, %d intervals\n", table.Len(), len(table.addrs), intervals)
	default:
		d.Fatalf(t, "unknown command")
	}
	return ""
}

// show names a version, with what tells it from others of the same name.
func show(table *Table, n Number) string { return table.At(n).line() }

func (e *Endpoint) line() string {
	s := e.String()
	for _, l := range e.Labels {
		if e.Pod != "" && !strings.HasPrefix(l, "k8s:io.") || strings.HasPrefix(l, "reserved:") && l != s {
			s += " " + strings.TrimPrefix(l, "k8s:")
		}
	}
	if e.ID != 0 {
		s += fmt.Sprintf(" id=%d", e.ID)
	}
	return s
}

func (c *Change) line() string {
	switch {
	case c.Before == nil:
		return c.After.line() + " came\n"
	case c.After == nil:
		return c.Before.line() + " went\n"
	}
	return c.Before.line() + " is now " + c.After.line() + "\n"
}

func nodes(input string) (all []Node) {
	for line := range strings.Lines(input) {
		words := strings.Fields(line)
		n := Node{Name: words[0]}
		for _, a := range words[1:] {
			if p, ok := strings.CutPrefix(a, "pods="); ok {
				n.Pods = append(n.Pods, netip.MustParsePrefix(strings.Trim(p, "()")))
				continue
			}
			n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
		}
		all = append(all, n)
	}
	return all
}

func list(d *datadriven.TestData, name string) []string {
	arg, _ := d.Arg(name)
	return arg.Vals
}

func addresses(d *datadriven.TestData, name string) (all []netip.Addr) {
	for _, a := range list(d, name) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func times(t *testing.T, d *datadriven.TestData) (all []int64) {
	for _, s := range list(d, "at") {
		at, err := time.ParseDuration(s)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		all = append(all, at.Nanoseconds())
	}
	return all
}

func index(t *testing.T, d *datadriven.TestData) (n uint32) {
	d.ScanArgs(t, "index", &n)
	return n
}

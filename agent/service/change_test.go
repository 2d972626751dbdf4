package service

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// TestChanges runs testdata/changes.txt. Its commands are
//
//	replace           all services, address:port[/protocol] namespace/name a line,
//	                  and what the watcher is told of it
func TestChanges(t *testing.T) {
	var table *Table
	var told strings.Builder
	table = NewTable("prod", endpoint.NewTable("prod"), func(c Change) {
		f := c.Frontend
		what := "is"
		if c.Gone {
			what = "was"
		}
		fmt.Fprintf(&told, "%d: %v/%d %s %s/%s\n", c.ID, netip.AddrPortFrom(f.Address, f.Port), f.Protocol, what,
			c.Name.Namespace, c.Name.Name)
		now := table.At(table.Lookup(f.Address, f.Port, f.Protocol))
		if got := (Name{now.Namespace, now.Name}); c.Gone == (got == c.Name) {
			t.Errorf("when told of %+v, the frontend is %+v", c, got)
		}
	})
	datadriven.RunTest(t, "testdata/changes.txt", func(t *testing.T, d *datadriven.TestData) string {
		all := map[Frontend]Name{}
		for line := range strings.Lines(d.Input) {
			words := strings.Fields(line)
			where, protocol, _ := strings.Cut(words[0], "/")
			a := netip.MustParseAddrPort(where)
			namespace, name, _ := strings.Cut(words[1], "/")
			number := map[string]uint8{"": 0, "tcp": tcp, "udp": udp}[protocol]
			all[Frontend{a.Addr(), a.Port(), number}] = Name{namespace, name}
		}
		told.Reset()
		table.Replace(all)
		return told.String()
	})
}

package static

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/service"
)

// TestSource runs testdata/apply: files that are applied one after the other,
// and what the tables say between them.
func TestSource(t *testing.T) {
	datadriven.Walk(t, "testdata/apply", func(t *testing.T, path string) {
		var now int64
		var log bytes.Buffer
		c := config(filepath.Join(t.TempDir(), "endpoints.yaml"), slog.New(plain(&log)))
		c.Now = func() int64 { return now }
		s := New(c)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				d.ScanArgs(t, "now", &now)
				if err := os.WriteFile(c.Path, []byte(d.Input), 0o600); err != nil {
					t.Fatal(err)
				}
				log.Reset()
				if err := s.Load(); err != nil {
					return strings.ReplaceAll(err.Error(), c.Path, "endpoints.yaml") + "\n"
				}
				return strings.ReplaceAll(log.String(), c.Path, "endpoints.yaml")
			case "link":
				c.Endpoints.LinkUp(uint32(number(t, d, "index")), arg(t, d, "name"))
				return "ok\n"
			case "who":
				return who(t, d, c.Endpoints).String() + "\n"
			case "service":
				n := c.Services.Lookup(address(t, d), uint16(number(t, d, "port")), uint8(number(t, d, "protocol")))
				s := c.Services.At(n)
				return s.Namespace + "/" + s.Name + " " + c.Endpoints.At(s.Endpoint).String() + "\n"
			case "names":
				n := c.Names.At(c.Names.Lookup(address(t, d), netip.Addr{}))
				return fmt.Sprintln(n.Source)
			}
			d.Fatalf(t, "unknown command")
			return ""
		})
	})
}

func TestLoadFails(t *testing.T) {
	s := New(config(filepath.Join(t.TempDir(), "missing"), slog.New(slog.DiscardHandler)))
	if err := s.Load(); !os.IsNotExist(err) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}

func config(path string, log *slog.Logger) Config {
	endpoints := endpoint.NewTable("default")
	return Config{
		Path: path, Cluster: "default", Node: "node1", Now: func() int64 { return 1 }, Log: log,
		Endpoints: endpoints, Services: service.NewTable("default", endpoints), Names: dns.NewTable(),
	}
}

// plain logs without time and level.
func plain(b *bytes.Buffer) slog.Handler {
	return slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
}

func who(t *testing.T, d *datadriven.TestData, table *endpoint.Table) *endpoint.Endpoint {
	if d.HasArg("index") {
		return table.At(table.Local(uint32(number(t, d, "index"))))
	}
	return table.At(table.Remote(address(t, d), int64(number(t, d, "at"))))
}

func arg(t *testing.T, d *datadriven.TestData, name string) (s string) {
	d.ScanArgs(t, name, &s)
	return s
}

func number(t *testing.T, d *datadriven.TestData, name string) (n int) {
	d.ScanArgs(t, name, &n)
	return n
}

func address(t *testing.T, d *datadriven.TestData) netip.Addr {
	return netip.MustParseAddr(arg(t, d, "address"))
}

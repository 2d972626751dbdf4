package datapath

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nobody wants to know of interfaces.
type nobody struct{}

func (nobody) LinkUp(uint32, string)                       {}
func (nobody) SetFarMAC(uint32, [6]byte)                   {}
func (nobody) SetFarAddresses(uint32, []netip.Addr, int64) {}
func (nobody) LinkDown(uint32)                             {}
func (nobody) SetHostAddresses([]netip.Addr)               {}

// open opens a datapath that attaches to no interface and tells each packet.
func open(t testing.TB, ringSize int) *Datapath {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: to load BPF programs")
	}
	d, err := Open(Config{
		Attach: AttachAuto, Interval: time.Second, Connections: 1024, RingSize: ringSize,
		Exclude: []string{"*"}, Interfaces: nobody{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

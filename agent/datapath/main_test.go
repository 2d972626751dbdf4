package datapath

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
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
	types := btf.NewCache()
	why, err := loadReasons(types)
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, ringSize, types, why)
}

// openOn does so on a kernel that has these reasons.
func openOn(t testing.TB, ringSize int, types *btf.Cache, why reasons) *Datapath {
	t.Helper()
	d, err := openWith(Config{
		Attach: AttachAuto, Interval: time.Second, Connections: 1024, RingSize: ringSize,
		Exclude: []string{"*"}, Interfaces: nobody{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, types, why)
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

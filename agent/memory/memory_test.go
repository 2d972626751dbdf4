package memory

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const smaps = `00400000-0127d000 r-xp 00000000 fe:00 10020431                           /fovea
Size:              14836 kB
Rss:               12000 kB
Private_Dirty:     12000 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0127d000-02447000 r--p 00e7d000 fe:00 10020431                           /fovea
Rss:               18000 kB
Anonymous:             4 kB
02447000-02500000 r--p 01f7d000 fe:00 10020431                           /fovea
Anonymous:             0 kB
02500000-02600000 rw-p 02047000 fe:00 10020431                           /fovea
Anonymous:             0 kB
02600000-02700000 r--s 00000000 fe:00 10020431                           /fovea
Anonymous:             0 kB
02700000-02800000 r-xp 00000000 fe:00 10020432                           /other/fovea
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:          4096 kB
7ffe1000-7ffe2000 r-xp 00000000 00:00 0                                  [vdso]
Anonymous:             0 kB
`

func TestUnwritten(t *testing.T) {
	want := []mapping{{0x400000, 0x127d000}, {0x2447000, 0x2500000}}
	if diff := cmp.Diff(want, unwritten([]byte(smaps), "/fovea"), cmp.AllowUnexported(mapping{})); diff != "" {
		t.Errorf("want - and have +\n%s", diff)
	}
}

// TestRelease releases the test's own program, which goes on.
func TestRelease(t *testing.T) {
	before := mappedFile(t)
	Release(slog.New(slog.DiscardHandler))
	after := mappedFile(t)
	t.Logf("%d KiB of files are mapped, %d before", after, before)
	if after >= before {
		t.Errorf("%d KiB of files are mapped, and were %d before", after, before)
	}
}

// mappedFile is how much of files is in this process's memory, in KiB.
func mappedFile(t *testing.T) (kib int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, value, found := strings.Cut(string(text), "RssFile:")
	if n, err := fmt.Sscan(value, &kib); !found || n != 1 || err != nil {
		t.Fatalf("no RssFile in %s", text)
	}
	return kib
}

func FuzzUnwritten(f *testing.F) {
	f.Add([]byte(smaps), "/fovea")
	f.Fuzz(func(t *testing.T, text []byte, file string) {
		for _, m := range unwritten(text, file) {
			if !strings.Contains(string(text), file) {
				t.Errorf("%x is of %q", m, file)
			}
		}
	})
}

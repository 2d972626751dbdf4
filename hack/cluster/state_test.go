package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSweepLeavesTheLiving(t *testing.T) {
	base := t.TempDir()
	living, err := newState(base)
	check(t, err)
	_, err = living.write("node1/file", nil)
	check(t, err)
	// As one whose process was killed, which ended its lock.
	dead := filepath.Join(base, statePrefix+"dead")
	check(t, os.MkdirAll(filepath.Join(dead, "node1"), 0o755))
	other := filepath.Join(base, "other")
	check(t, os.Mkdir(other, 0o755))

	next, err := newState(base)
	check(t, err)
	for dir, want := range map[string]bool{living.path("node1/file"): true, next.dir: true, other: true, dead: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
	check(t, living.remove())
	check(t, next.remove())
	if left, err := filepath.Glob(filepath.Join(base, statePrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestRemoveTreeOfNothing(t *testing.T) {
	check(t, removeTree(t.Context(), filepath.Join(t.TempDir(), "none")))
}

func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "group")
	check(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	check(t, os.MkdirAll(filepath.Join(dir, "c"), 0o755))
	check(t, removeTree(t.Context(), dir))
	if _, err := os.Stat(dir); err == nil {
		t.Error("it is left")
	}
}

package oracle

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const seedVariable = "FOVEA_ORACLE_SEED"

// newRand returns the source of everything random in one part of a test, and
// has a failure say how to get it again.
func newRand(t *testing.T, part int) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to have it again: %s=%d", seedVariable, seed)
		}
	})
	return rand.New(rand.NewPCG(seed, uint64(part)))
}

func oneOf[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// chance is true so often, of 1.
func chance(r *rand.Rand, of float64) bool { return r.Float64() < of }

package rpc

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(discardVariable); address != "" {
		fmt.Fprintln(os.Stderr, "discard:", discard(address))
		return
	}
	goleak.VerifyTestMain(m)
}

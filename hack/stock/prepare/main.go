// Command prepare builds the stock programs that tests need, unless they are
// there, so that the time it takes is not the tests'.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/fovea-obs/fovea/hack/stock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	_, hubble := stock.Hubble(ctx)
	_, kubernetes := stock.Kubernetes(ctx)
	_, helm := stock.Helm(ctx)
	if err := errors.Join(hubble, kubernetes, helm); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

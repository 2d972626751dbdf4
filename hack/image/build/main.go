// Command build makes fovea's container image as an archive. make image calls it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fovea-obs/fovea/hack/image"
)

func main() {
	c := image.Config{Log: os.Stderr}
	flag.StringVar(&c.Name, "name", "", "name of the image, without a tag")
	flag.StringVar(&c.Version, "version", "", "version of the release, and the tag; "+image.DefaultTag+" if empty")
	flag.StringVar(&c.Archive, "archive", "", "file to write")
	architectures := flag.String("architectures", "", "what to make it for, as amd64,arm64")
	flag.Parse()
	c.Architectures = strings.Split(*architectures, ",")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := image.Build(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	fmt.Println(c.Archive + " has " + c.Reference())
}

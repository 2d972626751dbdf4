package rpc

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
)

// BenchmarkSend streams messages of a flow's size over TCP to a process that
// discards them, and counts the CPU time of this process only, that of the
// kernel on its behalf too.
func BenchmarkSend(b *testing.B) {
	const size = 775
	wire := Wire{Bytes: []byte(strings.Repeat("f", size))}
	for name, m := range map[string]any{"wire": &wire, "message": &peerpb.ChangeNotification{Name: strings.Repeat("f", size-3)}} {
		b.Run(name, func(b *testing.B) {
			// As much as the history of an agent, by which the garbage collector
			// sets its pace.
			ballast := make([]byte, 16<<20)
			defer runtime.KeepAlive(ballast)
			stream := streamTo(b)
			for range 10_000 {
				if err := stream.SendMsg(m); err != nil {
					b.Fatal(err)
				}
			}
			before := cpu(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := stream.SendMsg(m); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// streamTo returns the server's side of a stream to another process, which is
// this program again: see TestMain.
func streamTo(b *testing.B) grpc.ServerStream {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	streams, over := make(chan grpc.ServerStream), make(chan struct{})
	server := New(Config{})
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Source", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Run", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			streams <- s
			<-over
			return nil
		}}},
	}, nil)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	client := exec.CommandContext(ctx, os.Args[0])
	client.Env = append(os.Environ(), discardVariable+"="+l.Addr().String())
	client.Stdout, client.Stderr = os.Stderr, os.Stderr
	if err := client.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		close(over)
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
		_ = client.Wait() // killed
	})
	select {
	case s := <-streams:
		return s
	case <-time.After(time.Minute):
		b.Fatal("the client did not call")
		return nil
	}
}

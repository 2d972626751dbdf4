package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// UDPLoad is datagrams to an echo server, each sent when the one before was
// answered. Datagrams larger than the path allows are sent in IP fragments.
type UDPLoad struct {
	Target netip.AddrPort
	Count  int // how many, 1 if 0
	Bytes  int // payload of each
}

// Run sends from one socket in ns and returns how many were answered. Without
// an answer it waits until ctx ends.
func (l UDPLoad) Run(ctx context.Context, ns *Namespace) (int, error) {
	c, err := ns.Dial(ctx, "udp", l.Target.String())
	if err != nil {
		return 0, fmt.Errorf("UDP load: %w", err)
	}
	defer c.Close()
	defer interrupt(ctx, c)()
	sent, got := payload(l.Bytes), make([]byte, l.Bytes+1)
	for i := range max(l.Count, 1) {
		n := 0
		if _, err = c.Write(sent); err == nil {
			n, err = c.Read(got)
		}
		if err == nil && !bytes.Equal(sent, got[:n]) {
			err = errors.New("echo differs")
		}
		if err != nil {
			return i, fmt.Errorf("UDP load to %s: %w", l.Target, err)
		}
	}
	return max(l.Count, 1), nil
}

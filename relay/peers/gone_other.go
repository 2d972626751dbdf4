//go:build !linux

package peers

import "net"

// noticeGone does nothing: what was sent and is not acknowledged ends the connection when the
// system gives it up, which takes longer.
func noticeGone(net.Conn) {}

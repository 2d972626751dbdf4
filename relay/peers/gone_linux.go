package peers

import (
	"net"

	"golang.org/x/sys/unix"
)

// noticeGone has a connection end if what was sent is not acknowledged for goneAfter.
func noticeGone(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	// Without it the connection is noticed all the same, later.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
	})
}

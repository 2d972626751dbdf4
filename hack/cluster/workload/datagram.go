package main

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagrams is a socket of UDP over IPv4 whose calls never block. They are made as
// they are, without a word to Go's scheduler, which would cost more than they do.
type datagrams int

// newDatagrams makes a socket at a port of all addresses, or at one that the kernel
// chooses if it is 0. The caller must close it.
func newDatagrams(port uint16) (datagrams, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	if port != 0 {
		err = unix.Bind(s, &unix.SockaddrInet4{Port: int(port)})
	}
	if err != nil {
		unix.Close(s)
		return 0, err
	}
	return datagrams(s), nil
}

func (d datagrams) close() error { return unix.Close(int(d)) }

// peer is an address as the kernel has it.
type peer unix.RawSockaddrInet4

func newPeer(a netip.AddrPort) (p peer) {
	p.Family, p.Addr = unix.AF_INET, a.Addr().As4()
	p.setPort(a.Port())
	return p
}

func (p *peer) setPort(port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&p.Port))[:], port)
}

// send sends a datagram, which must not be empty, and returns 0 if it did.
func (d datagrams) send(b []byte, to *peer) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(d), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(to)), unix.SizeofSockaddrInet4)
	return errno
}

// receive tells whether there was a datagram, and takes it. What does not fit into the
// buffer, which must not be empty, is lost. From may be nil.
func (d datagrams) receive(b []byte, from *peer) bool {
	size := uint32(unix.SizeofSockaddrInet4)
	length := &size
	if from == nil {
		length = nil
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(d), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0,
		uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(length)))
	return errno == 0
}

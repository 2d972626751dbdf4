package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	blockSize = 1 << 20
	frameSize = 2048
	// retireMillis is after how long the kernel hands over a block that is
	// not yet full.
	retireMillis = 10

	// linkAddrOffset is where a frame's struct sockaddr_ll begins.
	linkAddrOffset = (unix.SizeofTpacket3Hdr + 15) &^ 15
)

// ring is a packet socket with a receive ring (TPACKET_V3).
type ring struct {
	fd     int
	mem    []byte
	blocks int
	at     int // the block to take next
}

// openRing makes a ring in the calling thread's namespace that receives the
// packets of the interfaces with these indices, or of all if there are none.
func openRing(size, snapLen int, indices []int) (*ring, error) {
	// Without a protocol the socket receives nothing until it is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	r := &ring{fd: fd, blocks: max(size/blockSize, 2)}
	if err := r.setUp(snapLen, indices); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *ring) setUp(snapLen int, indices []int) error {
	if err := r.filter(interfaceFilter(indices, snapLen)); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("set packet ring version: %w", err)
	}
	req := unix.TpacketReq3{
		Block_size:     blockSize,
		Block_nr:       uint32(r.blocks),
		Frame_size:     frameSize,
		Frame_nr:       uint32(r.blocks * (blockSize / frameSize)),
		Retire_blk_tov: retireMillis,
	}
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("make packet ring: %w", err)
	}
	mem, err := unix.Mmap(r.fd, 0, r.blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map packet ring: %w", err)
	}
	r.mem = mem
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: all}); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

// interfaceFilter passes snapLen bytes of the packets of the interfaces.
func interfaceFilter(indices []int, snapLen int) []bpf.Instruction {
	pass := bpf.RetConstant{Val: uint32(snapLen)}
	if len(indices) == 0 {
		return []bpf.Instruction{pass}
	}
	program := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}}
	for _, i := range indices {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(i), SkipFalse: 1}, pass)
	}
	return append(program, bpf.RetConstant{Val: 0})
}

func (r *ring) filter(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assemble packet filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach packet filter: %w", err)
	}
	return nil
}

// mute keeps further packets out of the ring.
func (r *ring) mute() error {
	return r.filter([]bpf.Instruction{bpf.RetConstant{Val: 0}})
}

// next calls fn for each packet of the next block and gives the block back. It
// returns false if the kernel still holds the block.
func (r *ring) next(fn func(frame)) bool {
	block := r.mem[r.at*blockSize : (r.at+1)*blockSize]
	head := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[unsafe.Offsetof(unix.TpacketBlockDesc{}.Hdr)]))
	if atomic.LoadUint32(&head.Block_status)&unix.TP_STATUS_USER == 0 {
		return false
	}
	at := head.Offset_to_first_pkt
	for range head.Num_pkts {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at]))
		fn(readFrame(h, block[at:]))
		at += h.Next_offset
	}
	atomic.StoreUint32(&head.Block_status, unix.TP_STATUS_KERNEL)
	r.at = (r.at + 1) % r.blocks
	return true
}

func readFrame(h *unix.Tpacket3Hdr, data []byte) frame {
	addr := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&data[linkAddrOffset]))
	f := frame{
		ifindex:   int(addr.Ifindex),
		direction: In,
		time:      time.Unix(int64(h.Sec), int64(h.Nsec)),
		length:    int(h.Len),
		data:      data[h.Mac:][:h.Snaplen],
	}
	if addr.Pkttype == unix.PACKET_OUTGOING {
		f.direction = Out
	}
	return f
}

// statistics returns how many packets the kernel put into the ring and how
// many it dropped since the last call.
func (r *ring) statistics() (accepted, dropped uint64, err error) {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, 0, fmt.Errorf("read packet statistics: %w", err)
	}
	return uint64(s.Packets - s.Drops), uint64(s.Drops), nil
}

func (r *ring) close() error {
	var err error
	if r.mem != nil {
		err = unix.Munmap(r.mem)
	}
	return errors.Join(err, unix.Close(r.fd))
}

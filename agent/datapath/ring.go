package datapath

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Bits and size of a record's header (include/uapi/linux/bpf.h).
const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

const (
	// ringBatch is how many records are read before their room is given back.
	ringBatch = 256
	// ringPause is how long the reader leaves the ring alone after it was
	// empty: the bound on how often it wakes, and on how late an event is.
	ringPause = 2 * time.Millisecond
	// ringTimeout ends a sleep that no event has ended, so that the caller gets
	// to do what is due from time to time.
	ringTimeout = 250 * time.Millisecond
)

// ring reads a BPF ring buffer in place. The kernel's producers wake it only
// where it has said that it sleeps; it is for one goroutine.
type ring struct {
	consumer *uint64 // ours to write, on a page of its own
	producer *uint64
	data     []byte
	mask     uint64
	// split holds the one record a round that lies over the ring's end: the
	// data is mapped once only, as its pages count as the process's memory.
	split []byte

	// sleeps is shared with the programs: see bpf/conn.h.
	sleeps *uint32

	epoll int
	stop  int // an eventfd
	maps  [][]byte
}

// newRing maps the ring buffer events, and flag, an array of one that holds the
// reader's state.
func newRing(events, flag *ebpf.Map) (_ *ring, err error) {
	r := &ring{mask: uint64(events.MaxEntries()) - 1, epoll: -1, stop: -1}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	page := os.Getpagesize()
	size := int(events.MaxEntries())
	consumer, err := r.mmap(events.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, fmt.Errorf("map the ring's consumer page: %w", err)
	}
	producer, err := r.mmap(events.FD(), int64(page), page+size, unix.PROT_READ)
	if err != nil {
		return nil, fmt.Errorf("map the ring's data: %w", err)
	}
	state, err := r.mmap(flag.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, fmt.Errorf("map the reader's state: %w", err)
	}
	r.consumer = (*uint64)(unsafe.Pointer(&consumer[0]))
	r.producer = (*uint64)(unsafe.Pointer(&producer[0]))
	r.data = producer[page:]
	r.sleeps = (*uint32)(unsafe.Pointer(&state[0]))

	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if r.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	for _, fd := range []int{events.FD(), r.stop} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return nil, fmt.Errorf("add to epoll: %w", err)
		}
	}
	return r, nil
}

// sample returns size bytes at an offset of the ring, which may be its end.
// Headers are never split: records begin at multiples of 8.
func (r *ring) sample(at, size uint64) []byte {
	if at+size <= uint64(len(r.data)) {
		return r.data[at : at+size : at+size]
	}
	at &= r.mask
	if at+size <= uint64(len(r.data)) {
		return r.data[at : at+size : at+size]
	}
	r.split = append(append(r.split[:0], r.data[at:]...), r.data[:at+size-uint64(len(r.data))]...)
	return r.split
}

func (r *ring) mmap(fd int, off int64, size, prot int) ([]byte, error) {
	m, err := unix.Mmap(fd, off, size, prot, unix.MAP_SHARED)
	if err == nil {
		r.maps = append(r.maps, m)
	}
	return m, err
}

// read calls fn with each complete record, at most ringBatch of them, and gives
// their room back to the kernel afterwards. The sample is valid during the call
// only. It returns how many there were.
func (r *ring) read(fn func(sample []byte)) int {
	pos := atomic.LoadUint64(r.consumer)
	end := atomic.LoadUint64(r.producer)
	n := 0
	for ; pos < end && n < ringBatch; n++ {
		at := pos & r.mask
		// Pairs with the xchg in bpf_ringbuf_commit (kernel/bpf/ringbuf.c).
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if header&ringBusy != 0 {
			break
		}
		size := uint64(header &^ ringDiscard)
		if header&ringDiscard == 0 {
			fn(r.sample(at+ringHeader, size))
		}
		pos += (ringHeader + size + 7) &^ 7
	}
	if n > 0 {
		atomic.StoreUint64(r.consumer, pos)
	}
	return n
}

// wait pauses, and then, if the ring is empty, sleeps until an event comes, stop
// was called or the timeout is over.
func (r *ring) wait() error {
	if err := r.pause(); err != nil {
		return err
	}
	if !r.empty() {
		return nil
	}
	atomic.StoreUint32(r.sleeps, 1)
	defer atomic.StoreUint32(r.sleeps, 0)
	// Whoever reserved room before it could see the flag is seen here. A store
	// of a program that passed this load on its way is found by the timeout.
	if !r.empty() {
		return nil
	}
	var ev [2]unix.EpollEvent
	_, err := unix.EpollWait(r.epoll, ev[:], int(ringTimeout/time.Millisecond))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

// pause leaves the ring alone for a moment.
func (r *ring) pause() error {
	pause := unix.NsecToTimespec(int64(ringPause))
	if err := unix.Nanosleep(&pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("pause: %w", err)
	}
	return nil
}

func (r *ring) empty() bool {
	return atomic.LoadUint64(r.producer) == atomic.LoadUint64(r.consumer)
}

// wake ends a wait. It may be called from any goroutine, before close.
func (r *ring) wake() {
	one := [8]byte{1}
	// An eventfd's counter only overflows after 2^64 calls.
	_, _ = unix.Write(r.stop, one[:])
}

func (r *ring) close() {
	for _, m := range r.maps {
		_ = unix.Munmap(m)
	}
	r.maps = nil
	for _, fd := range []*int{&r.epoll, &r.stop} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
		}
		*fd = -1
	}
}

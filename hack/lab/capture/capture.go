package capture

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultSnapLen   = 256
	defaultRingBytes = 64 << 20

	// quiet is how long no packet must come for traffic to be over, and
	// settleTimeout how long to wait for that.
	quiet         = 20 * time.Millisecond
	settleTimeout = time.Second
	// drainTimeout is how long the kernel may take to hand over packets
	// that it has counted.
	drainTimeout = 5 * time.Second
)

// Netns is a network namespace; Do runs a function in it.
type Netns interface {
	Do(fn func() error) error
}

// Config says what to capture. Its zero value is usable.
type Config struct {
	// Interfaces to capture on. If empty, all of the namespace, also those
	// added later.
	Interfaces []string
	// SnapLen is how many bytes of each packet are looked at, 256 if 0.
	SnapLen int
	// RingBytes is the size of the buffer for packets not yet counted, a
	// multiple of 1 MiB, 64 MiB if 0.
	RingBytes int
	// KeepPackets keeps every packet in [Result].
	KeepPackets bool
}

// Capture counts packets from Start until Stop.
type Capture struct {
	config Config
	ns     Netns
	ring   *ring
	wake   int // eventfd that ends the reader's wait

	done chan struct{} // closed when the reader has ended

	// Owned by the reader until done is closed.
	parser   parser
	flows    map[Key]*Count
	packets  []Packet
	consumed uint64
	accepted uint64 // by the kernel, including what is not yet consumed
	dropped  uint64
	err      error

	names map[int]string

	stop   sync.Once
	result Result
}

// Start captures on the named interfaces of ns, or on all if there are none.
// When it returns, packets are being counted. The caller must call
// [Capture.Stop].
func Start(ns Netns, interfaces ...string) (*Capture, error) {
	return Config{Interfaces: interfaces}.Start(ns)
}

// Start captures in ns as configured.
func (config Config) Start(ns Netns) (*Capture, error) {
	c := newCapture(ns, config)
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("start capture: %w", err)
	}
	go c.read()
	return c, nil
}

func newCapture(ns Netns, config Config) *Capture {
	if config.SnapLen == 0 {
		config.SnapLen = defaultSnapLen
	}
	if config.RingBytes == 0 {
		config.RingBytes = defaultRingBytes
	}
	return &Capture{config: config, ns: ns, done: make(chan struct{}), flows: make(map[Key]*Count)}
}

func (c *Capture) open() error {
	names, err := interfaceNames(c.ns)
	if err != nil {
		return err
	}
	c.names = names
	indices, err := choose(names, c.config.Interfaces)
	if err != nil {
		return err
	}
	if c.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("make event file: %w", err)
	}
	err = c.ns.Do(func() (err error) {
		c.ring, err = openRing(c.config.RingBytes, c.config.SnapLen, indices)
		return err
	})
	if err != nil {
		unix.Close(c.wake)
		return err
	}
	return nil
}

// interfaceNames are the namespace's interfaces by index.
func interfaceNames(ns Netns) (map[int]string, error) {
	names := make(map[int]string)
	err := ns.Do(func() error {
		all, err := net.Interfaces()
		for _, i := range all {
			names[i.Index] = i.Name
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return names, nil
}

// choose returns the indices of the wanted interfaces, none meaning all.
func choose(names map[int]string, wanted []string) ([]int, error) {
	var indices []int
	for _, w := range wanted {
		found := false
		for index, name := range names {
			if name == w {
				indices, found = append(indices, index), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no interface %q", w)
		}
	}
	return indices, nil
}

// Stop waits until traffic has come to rest, at most a second, takes all
// packets that were seen and ends the capture. It returns an error if the
// kernel dropped any packet, in which case the result is incomplete. Further
// calls return the same.
func (c *Capture) Stop() (Result, error) {
	c.stop.Do(c.finish)
	if c.err != nil {
		return c.result, fmt.Errorf("capture: %w", c.err)
	}
	return c.result, nil
}

func (c *Capture) finish() {
	_, wakeErr := unix.Write(c.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-c.done
	errs := []error{c.err, wakeErr, c.ring.close(), unix.Close(c.wake)}
	if c.dropped > 0 {
		errs = append(errs, fmt.Errorf("kernel dropped %d of %d packets", c.dropped, c.accepted+c.dropped))
	}
	// Interfaces may have been added, and the namespace may be closed.
	if later, err := interfaceNames(c.ns); err == nil {
		for index, name := range later {
			c.names[index] = name
		}
	}
	c.result = Result{Flows: make(map[Key]Count, len(c.flows)), Interfaces: c.names, Packets: c.packets}
	for k, count := range c.flows {
		c.result.Flows[k] = *count
	}
	c.err = errors.Join(errs...)
}

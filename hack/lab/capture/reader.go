package capture

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// read counts packets until it is woken, and then those still under way.
func (c *Capture) read() {
	defer close(c.done)
	c.err = c.readAll()
}

func (c *Capture) readAll() error {
	for {
		woken, err := c.wait(-1)
		if err != nil {
			return err
		}
		c.take()
		if woken {
			break
		}
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := c.ring.mute(); err != nil {
		return err
	}
	return c.drain()
}

// wait waits until a block of packets is ready or, with a timeout < 0, until
// the capture is to stop, which it reports.
func (c *Capture) wait(timeout time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(c.ring.fd), Events: unix.POLLIN}}
	if timeout < 0 {
		fds = append(fds, unix.PollFd{Fd: int32(c.wake), Events: unix.POLLIN})
	}
	ms := -1
	if timeout >= 0 {
		ms = int(timeout.Milliseconds())
	}
	_, err := unix.Poll(fds, ms)
	if err != nil && err != unix.EINTR {
		return false, fmt.Errorf("wait for packets: %w", err)
	}
	return timeout < 0 && fds[1].Revents != 0, nil
}

// take counts all packets that are ready.
func (c *Capture) take() {
	for c.ring.next(c.count) {
	}
}

func (c *Capture) count(f frame) {
	c.consumed++
	key, one := c.parser.parse(f)
	count := c.flows[key]
	if count == nil {
		count = new(Count)
		c.flows[key] = count
	}
	count.add(one)
	if c.config.KeepPackets {
		c.packets = append(c.packets, Packet{
			Key: key, Time: f.time, Length: f.length, Data: bytes.Clone(f.data),
		})
	}
}

// settle waits until no packet came for a while: a packet may have been sent
// and not yet have reached the interface.
func (c *Capture) settle() error {
	deadline := time.Now().Add(settleTimeout)
	since := time.Now()
	if err := c.statistics(); err != nil {
		return err
	}
	for before := c.accepted; time.Since(since) < quiet && time.Now().Before(deadline); {
		if _, err := c.wait(quiet / 4); err != nil {
			return err
		}
		c.take()
		if err := c.statistics(); err != nil {
			return err
		}
		if c.accepted != before {
			before, since = c.accepted, time.Now()
		}
	}
	return nil
}

// drain waits until every packet that the kernel accepted was counted.
func (c *Capture) drain() error {
	deadline := time.Now().Add(drainTimeout)
	for {
		if err := c.statistics(); err != nil {
			return err
		}
		c.take()
		if c.consumed >= c.accepted {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kernel kept %d packets back", c.accepted-c.consumed)
		}
		if _, err := c.wait(quiet); err != nil {
			return err
		}
	}
}

func (c *Capture) statistics() error {
	accepted, dropped, err := c.ring.statistics()
	c.accepted += accepted
	c.dropped += dropped
	return err
}

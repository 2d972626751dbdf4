// Package report is what the workload says of its connections, a JSON object a
// line on standard output, so that a test knows what truly happened.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// What happened.
const (
	// Accepted is a connection, or a datagram, that a server got.
	Accepted = "accepted"
	// Called is one that a client made and that was answered, or failed.
	Called = "called"
)

// Connection is one connection, or one datagram and its answer, as one of its
// ends saw it.
type Connection struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	// Protocol is tcp or udp.
	Protocol string `json:"protocol"`
	// Self is who says so, namespace/pod.
	Self string `json:"self"`
	// Local and Remote are the addresses of this end's socket. A client's
	// Remote is what it dialled, as the address of a service.
	Local  netip.AddrPort `json:"local,omitzero"`
	Remote netip.AddrPort `json:"remote,omitzero"`
	// Name is the host that a client looked up or was given.
	Name string `json:"name,omitempty"`
	// Peer is who the other end said it is, namespace/pod.
	Peer string `json:"peer,omitempty"`
	// Seen is the client's address as the server saw it, told to the client.
	Seen  netip.AddrPort `json:"seen,omitzero"`
	Error string         `json:"error,omitempty"`
}

// Answer is what a server answers.
type Answer struct {
	Server string         `json:"server"`
	Client netip.AddrPort `json:"client"`
}

// Writer writes reports. It may be used by several goroutines at once.
type Writer struct {
	self string
	mu   sync.Mutex
	to   *json.Encoder
}

// NewWriter writes what self, namespace/pod, says.
func NewWriter(w io.Writer, self string) *Writer {
	return &Writer{self: self, to: json.NewEncoder(w)}
}

// Self is who the reports are of.
func (w *Writer) Self() string { return w.self }

// Write completes the report and writes it.
func (w *Writer) Write(c Connection) error {
	c.Time, c.Self = time.Now(), w.self
	c.Local, c.Remote, c.Seen = unmap(c.Local), unmap(c.Remote), unmap(c.Seen)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Encode(c)
}

// Read reads reports until the end. A last line that is not whole is left out.
func Read(r io.Reader) ([]Connection, error) {
	var all []Connection
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, fmt.Errorf("read reports: %w", err)
		}
		var c Connection
		if err := json.Unmarshal(line, &c); err != nil {
			return all, fmt.Errorf("read report %q: %w", line, err)
		}
		all = append(all, c)
	}
}

// unmap makes IPv4 addresses that a socket for both families has plain ones.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

package kube

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

const (
	// remembered is how many things that are left out are logged at most.
	remembered = 256
	// shown is how much of an address that is none is logged, in bytes.
	shown = 64
)

// addresses reads addresses, and logs once each that is none, and each object of
// which something is left out. It is safe for concurrent use.
type addresses struct {
	log *slog.Logger

	mu  sync.Mutex
	bad map[string]bool
}

// add appends the address that a text is to a list, unless it is no address of
// one host, or there already. Of says whose it is.
func (a *addresses) add(list []netip.Addr, text string, of name) []netip.Addr {
	if text == "" {
		return list
	}
	addr, err := netip.ParseAddr(text)
	addr = addr.Unmap()
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		text = strings.Clone(text[:min(len(text), shown)])
		if a.first(text) {
			a.log.Warn("Not the address of a host, left out", "address", text, "namespace", of.namespace, "name", of.name)
		}
		return list
	}
	if slices.Contains(list, addr) {
		return list
	}
	if len(list) == maxAddresses {
		a.left("addresses", maxAddresses, of)
		return list
	}
	return append(list, addr)
}

// left says that an object has more of something than is kept.
func (a *addresses) left(what string, most int, of name) {
	if a.first(what + " " + of.namespace + "/" + of.name) {
		a.log.Warn("More than are kept, the rest is left out", "of", what, "kept", most,
			"namespace", of.namespace, "name", of.name)
	}
}

// first tells whether something is to be logged that was not.
func (a *addresses) first(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bad[what] || len(a.bad) >= remembered {
		return false
	}
	if a.bad == nil {
		a.bad = map[string]bool{}
	}
	a.bad[what] = true
	return true
}

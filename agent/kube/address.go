package kube

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
)

// remembered is how many addresses that are none are logged at most.
const remembered = 256

// addresses reads addresses, and logs once each that is none. It is safe for
// concurrent use.
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
		a.refuse(text, of)
		return list
	}
	if slices.Contains(list, addr) {
		return list
	}
	return append(list, addr)
}

func (a *addresses) refuse(text string, of name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bad[text] || len(a.bad) >= remembered {
		return
	}
	if a.bad == nil {
		a.bad = map[string]bool{}
	}
	a.bad[text] = true
	a.log.Warn("Not the address of a host, left out", "address", text, "namespace", of.namespace, "name", of.name)
}

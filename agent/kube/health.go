package kube

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// grace is how long the API may be away before that is told, in nanoseconds:
// watches end and are opened again all the time.
const grace = int64(3 * time.Second)

// health knows which resources are followed. Its methods are safe for concurrent
// use.
type health struct {
	now func() int64
	log *slog.Logger

	mu  sync.Mutex
	all map[string]*state
	// told is set while the log's last word is that something is wrong.
	told bool
}

// state is that of a resource.
type state struct {
	// since is when its last watch ended, 0 while there is one.
	since int64
	// synced is set once all was heard, heard closed with the first answer.
	synced bool
	heard  chan struct{}
	open   bool // heard is
	// refused is set while there is no right to it.
	refused bool
}

func newHealth(now func() int64, log *slog.Logger) *health {
	return &health{now: now, log: log, all: map[string]*state{}}
}

// add begins with a resource of which nothing was heard.
func (h *health) add(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[resource] = &state{since: h.now(), heard: make(chan struct{}), open: true}
}

// heard returns a channel that is closed when all of the resource was heard, or
// a request failed.
func (h *health) heard(resource string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[resource].heard
}

func (s *state) hear() {
	if s.open {
		s.open = false
		close(s.heard)
	}
}

// down says that there is no watch.
func (h *health) down(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.all[resource]; s.since == 0 {
		s.since = h.now()
	}
}

// up says that there is a watch.
func (h *health) up(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[resource].since, h.all[resource].refused = 0, false
	if h.told && !h.any(func(s *state) bool { return s.since != 0 }) {
		h.told = false
		h.log.Info("Kubernetes answers again")
	}
}

// answered says how a request ended.
func (h *health) answered(resource string, err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[resource]
	s.hear()
	if !h.told && h.overdue(s) {
		h.told = true
		h.log.Warn("Kubernetes cannot be followed, what is known of it stays", "resource", resource, "error", err)
	}
}

// refuse says that there is no right to the resource: nothing will be heard of it.
func (h *health) refuse(resource string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[resource]
	if !s.refused {
		h.log.Warn("Kubernetes does not let this be followed, what is known of it stays", "resource", resource, "error", err)
	}
	s.since, s.refused = 0, true
}

// refused are the resources to which there is no right, in order.
func (h *health) refused() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for resource, s := range h.all {
		if s.refused {
			all = append(all, resource)
		}
	}
	slices.Sort(all)
	return all
}

// sync says that all was heard of the resource.
func (h *health) sync(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[resource]
	s.synced = true
	s.hear()
}

// synced tells whether all was heard of all resources.
func (h *health) synced() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all) > 0 && !h.any(func(s *state) bool { return !s.synced })
}

// degraded tells whether something was not heard yet, or may be old.
func (h *health) degraded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all) == 0 || h.any(func(s *state) bool { return !s.synced || h.overdue(s) })
}

func (h *health) overdue(s *state) bool { return s.since != 0 && h.now()-s.since >= grace }

func (h *health) any(is func(*state) bool) bool {
	for _, s := range h.all {
		if is(s) {
			return true
		}
	}
	return false
}

package kubeclient

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// grace is how long the API may be away before that is told, in nanoseconds:
// watches end and are opened again all the time.
const grace = int64(3 * time.Second)

// Health knows which resources are followed. Its methods are safe for concurrent
// use.
type Health struct {
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

// NewHealth returns one of no resources. Now is the time in nanoseconds since 1970.
func NewHealth(now func() int64, log *slog.Logger) *Health {
	return &Health{now: now, log: log, all: map[string]*state{}}
}

// Add begins with a resource of which nothing was heard.
func (h *Health) Add(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[resource] = &state{since: h.now(), heard: make(chan struct{}), open: true}
}

// Heard returns a channel that is closed when all of the resource was heard, or
// a request failed.
func (h *Health) Heard(resource string) <-chan struct{} {
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

// Down says that there is no watch.
func (h *Health) Down(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.all[resource]; s.since == 0 {
		s.since = h.now()
	}
}

// Up says that there is a watch.
func (h *Health) Up(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[resource].since, h.all[resource].refused = 0, false
	if h.told && !h.any(func(s *state) bool { return s.since != 0 }) {
		h.told = false
		h.log.Info("Kubernetes answers again")
	}
}

// Answered says how a request ended.
func (h *Health) Answered(resource string, err error) {
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

// Refuse says that there is no right to the resource: nothing will be heard of it.
func (h *Health) Refuse(resource string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[resource]
	if !s.refused {
		h.log.Warn("Kubernetes does not let this be followed, what is known of it stays", "resource", resource, "error", err)
	}
	s.since, s.refused = 0, true
}

// Refused are the resources to which there is no right, in order.
func (h *Health) Refused() (all []string) {
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

// Sync says that all was heard of the resource.
func (h *Health) Sync(resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.all[resource]
	s.synced = true
	s.hear()
}

// Synced tells whether all was heard of all resources.
func (h *Health) Synced() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all) > 0 && !h.any(func(s *state) bool { return !s.synced })
}

// Degraded tells whether something was not heard yet, or may be old.
func (h *Health) Degraded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all) == 0 || h.any(func(s *state) bool { return !s.synced || h.overdue(s) })
}

func (h *Health) overdue(s *state) bool { return s.since != 0 && h.now()-s.since >= grace }

func (h *Health) any(is func(*state) bool) bool {
	for _, s := range h.all {
		if is(s) {
			return true
		}
	}
	return false
}

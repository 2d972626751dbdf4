package kubeclient

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	now := int64(time.Hour)
	var log strings.Builder
	h := NewHealth(func() int64 { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	h.Add("pods")
	h.Add("nodes")
	no := errors.New("connection refused")
	for i, step := range []struct {
		do              func()
		after           int64 // seconds
		degraded        bool
		warned, relaxed int
	}{
		{func() { h.Up("pods"); h.Sync("pods") }, 0, true, 0, 0},
		{func() { h.Answered("nodes", no) }, 1, true, 0, 0},
		{func() { h.Answered("nodes", no) }, 5, true, 1, 0},
		{func() { h.Answered("nodes", no) }, 5, true, 1, 0},
		{func() { h.Up("nodes"); h.Sync("nodes") }, 0, false, 1, 1},
		{func() { h.Down("pods"); h.Answered("pods", no) }, 1, false, 1, 1}, // as watches do
		{func() { h.Up("pods") }, 1, false, 1, 1},
		{func() { h.Down("pods") }, 0, false, 1, 1},
		{func() {}, 9, true, 1, 1}, // a request that hangs
		{func() { h.Down("nodes"); h.Answered("pods", no) }, 4, true, 2, 1},
		{func() { h.Answered("nodes", no); h.Up("nodes") }, 0, true, 2, 1},
		{func() { h.Up("pods") }, 0, false, 2, 2},
	} {
		now += step.after * int64(time.Second)
		step.do()
		warned, relaxed := strings.Count(log.String(), "cannot be followed"), strings.Count(log.String(), "answers again")
		if h.Degraded() != step.degraded || warned != step.warned || relaxed != step.relaxed {
			t.Errorf("step %d: degraded %v, told %d and %d times", i, h.Degraded(), warned, relaxed)
		}
	}
	for _, r := range []string{"pods", "nodes"} {
		<-h.Heard(r)
	}
}

// TestRefused has a resource to which there is no right, then is, then is not.
func TestRefused(t *testing.T) {
	now := int64(time.Hour)
	var log strings.Builder
	h := NewHealth(func() int64 { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	h.Add("policies")
	h.Add("pods")
	h.Up("pods")
	h.Sync("pods")
	no := errors.New("forbidden")
	for i, step := range []struct {
		do            func()
		refused, told int
		degraded      bool
	}{
		{func() {}, 0, 0, true},
		{func() { h.Down("policies"); h.Refuse("policies", no); h.Sync("policies") }, 1, 1, false},
		{func() { h.Down("policies"); h.Refuse("policies", no); h.Sync("policies") }, 1, 1, false},
		{func() { h.Down("policies"); h.Up("policies"); h.Sync("policies") }, 0, 1, false},
		{func() { h.Down("policies"); h.Refuse("policies", no) }, 1, 2, false},
	} {
		now += int64(time.Minute)
		step.do()
		if got, told := h.Refused(), strings.Count(log.String(), "does not let"); len(got) != step.refused || told != step.told || h.Degraded() != step.degraded {
			t.Errorf("step %d: refused %v, told %d times, degraded %v", i, got, told, h.Degraded())
		}
	}
	<-h.Heard("policies")
}

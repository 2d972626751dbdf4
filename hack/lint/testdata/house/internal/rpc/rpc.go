package rpc

import (
	"errors"
	"sync"
)

var (
	ErrClosed = errors.New("closed")
	Limit     int
	table     = map[string]int{"a": 1}
	mu        sync.Mutex
	lazy      = sync.OnceValue(func() int { return 1 })
	names     = [...]string{"a", "b"}
	point     struct{ x, y int }
)

func init() {} // want "an init function (no global state"

func use() *int {
	n := table["a"] + lazy() + len(names) + point.y
	local := point
	local.x++
	mu.Lock()             // want "package-level variable mu is handed out by its address"
	table["b"] = n        // want "package-level variable table is assigned to"
	delete(table, "a")    // want "package-level variable table is assigned to"
	point.x++             // want "package-level variable point is assigned to"
	for Limit = range 3 { // want "package-level variable Limit is assigned to"
	}
	table := map[string]int{}
	table["c"] = 1
	if n > 2 {
		return &n
	}
	return &Limit // want "package-level variable Limit is handed out by its address"
}

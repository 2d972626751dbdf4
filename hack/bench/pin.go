package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin moves this process and all that it starts to one of its CPUs, until unpin
// is called.
func pin() (unpin func() error, err error) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("read the CPUs to run on: %w", err)
	}
	last := 0
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			last = cpu
		}
	}
	one.Set(last)
	if err := runOn(&one); err != nil {
		return nil, err
	}
	return func() error { return runOn(&all) }, nil
}

// runOn sets the CPUs of all threads, until no new one was found: a thread gets
// its CPUs from the one that starts it.
func runOn(set *unix.CPUSet) error {
	done := map[int]bool{}
	for before := -1; len(done) > before; {
		before = len(done)
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || done[id] {
				continue
			}
			if err := unix.SchedSetaffinity(id, set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("set the CPUs of a thread: %w", err)
			}
			done[id] = true
		}
	}
	return nil
}

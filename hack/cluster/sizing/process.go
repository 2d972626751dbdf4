package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// findProcess returns the process of a program, as it is called with a first argument,
// that is in a control group. There must be one.
func findProcess(cgroup, program, argument string) (found int, err error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, name := range lines {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		args := strings.Split(string(line), "\x00")
		if len(args) < 2 || filepath.Base(args[0]) != program || args[1] != argument {
			continue
		}
		groups, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cgroup"))
		if err != nil || !bytes.Contains(groups, []byte(cgroup)) {
			continue
		}
		if found != 0 {
			return 0, fmt.Errorf("more than one process runs %s %s in %s", program, argument, cgroup)
		}
		if found, err = strconv.Atoi(filepath.Base(filepath.Dir(name))); err != nil {
			return 0, err
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("no process runs %s %s in %s", program, argument, cgroup)
	}
	return found, nil
}

// cpuTime is what a process has used of the CPU: its own and the kernel's for it.
func cpuTime(pid int) (time.Duration, error) {
	// The kernel makes the number of a process's clock of its own: one of the
	// scheduler (2), of all threads.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// busyTime is for how long the CPUs of the machine were not idle, all together. The
// kernel tells it in hundredths of a second.
func busyTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the time of all CPUs: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	var sum time.Duration
	// After the name: user, nice, system, idle, iowait, irq, softirq, steal.
	for i, f := range fields {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the time of all CPUs: %w", err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum, nil
}

// residentMiB is a process's resident memory, and the most that was since resetPeak.
func residentMiB(pid int) (now, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	now, errNow := number(string(text), "VmRSS:")
	peak, errPeak := number(string(text), "VmHWM:")
	return now / 1024, peak / 1024, errors.Join(errNow, errPeak)
}

// resetPeak has the kernel forget the most that a process's resident memory was.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the peak of process %d: %w", pid, err)
	}
	return nil
}

// chargedMiB is what the kernel charged a process's control group with, without the
// copies of files that nobody has used of late. It is 0 if memory is not counted.
func chargedMiB(pid int) (float64, error) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return 0, fmt.Errorf("read the control group of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, v := range []struct{ controller, root, usage, files string }{
			{"memory", "/sys/fs/cgroup/memory", "memory.usage_in_bytes", "total_inactive_file"},
			{"", "/sys/fs/cgroup", "memory.current", "inactive_file"},
		} {
			if f[1] != v.controller {
				continue
			}
			dir := filepath.Join(v.root, f[2])
			usage, err := os.ReadFile(filepath.Join(dir, v.usage))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			stat, errStat := os.ReadFile(filepath.Join(dir, "memory.stat"))
			all, errAll := strconv.ParseFloat(strings.TrimSpace(string(usage)), 64)
			files, errFiles := number(string(stat), v.files)
			if err := errors.Join(err, errStat, errAll, errFiles); err != nil {
				return 0, fmt.Errorf("read the memory of process %d's control group: %w", pid, err)
			}
			return (all - files) / (1 << 20), nil
		}
	}
	return 0, nil
}

// number is the one after a word that a line begins with.
func number(text, word string) (float64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == word {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, fmt.Errorf("%q is not told", word)
}

// counter is one of the kernel's for the network namespace of a process, as
// /proc/net/snmp calls it.
func counter(pid int, protocol, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/snmp", pid))
	if err != nil {
		return 0, fmt.Errorf("read the counters of process %d: %w", pid, err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] != protocol+":":
		case names == nil:
			names = f
		default:
			for i := range min(len(names), len(f)) {
				if names[i] == name {
					return strconv.ParseInt(f[i], 10, 64)
				}
			}
		}
	}
	return 0, fmt.Errorf("the kernel does not tell %s of %s", name, protocol)
}

package main

import (
	"os"
	"testing"
	"time"
)

// TestOfThisProcess reads of this process what is read of an agent.
func TestOfThisProcess(t *testing.T) {
	pid := os.Getpid()
	before, err := cpuTime(pid)
	check(t, err)
	busy, err := busyTime()
	check(t, err)
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := cpuTime(pid)
	check(t, err)
	if after-before <= 0 || after-before > time.Minute {
		t.Errorf("used %v while it ran for 50ms", after-before)
	}
	if now, err := busyTime(); err != nil || now <= busy {
		t.Errorf("all CPUs were busy for %v, and %v before: %v", now, busy, err)
	}
	rss, peak, err := residentMiB(pid)
	check(t, err)
	if rss < 1 || peak < rss || peak > 4096 {
		t.Errorf("resident are %v MiB, %v at most", rss, peak)
	}
	charged, err := chargedMiB(pid)
	check(t, err)
	if charged < 0 {
		t.Errorf("charged are %v MiB", charged)
	}
}

func TestPeakIsForgotten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, as to do so with another process does")
	}
	check(t, resetPeak(os.Getpid()))
	if rss, peak, err := residentMiB(os.Getpid()); err != nil || peak > rss+16 {
		t.Errorf("%v MiB are resident, and %v at most: %v", rss, peak, err)
	}
}

func TestCounter(t *testing.T) {
	if n, err := counter(os.Getpid(), "Tcp", "PassiveOpens"); err != nil || n < 0 {
		t.Errorf("%d, %v", n, err)
	}
	for _, of := range [][2]string{{"Tcp", "InDatagrams"}, {"Sctp", "PassiveOpens"}} {
		if n, err := counter(os.Getpid(), of[0], of[1]); err == nil {
			t.Errorf("%v is %d", of, n)
		}
	}
}

func TestFindProcess(t *testing.T) {
	if _, err := findProcess("/", "fovea-none", "agent"); err == nil {
		t.Error("a program that there is not was found")
	}
}

func TestNumber(t *testing.T) {
	const text = "Name:\tfovea\nVmRSS:\t   1024 kB\ntotal_inactive_file 7\n"
	for word, want := range map[string]float64{"VmRSS:": 1024, "total_inactive_file": 7, "inactive_file": -1, "Name:": -1} {
		got, err := number(text, word)
		if want < 0 != (err != nil) || want >= 0 && got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
}

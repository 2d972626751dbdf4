package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHouse runs the rules on a small module that breaks them. A comment says
// what is wanted in a line: want "a part of the text".
func TestHouse(t *testing.T) {
	const dir = "testdata/house"
	found, err := lint(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := wanted(t, dir)
	for _, line := range found {
		at, text, _ := strings.Cut(line, ": ")
		part, ok := want[at]
		switch {
		case !ok:
			t.Errorf("not wanted: %s", line)
		case !strings.Contains(text, part):
			t.Errorf("%s: %s\nwant %q", at, text, part)
		}
		delete(want, at)
	}
	for at, part := range want {
		t.Errorf("%s: not found: %s", at, part)
	}
}

// wanted returns the comments in dir by file:line.
func wanted(t *testing.T, dir string) map[string]string {
	comment := regexp.MustCompile(`// want "(.*)"$`)
	want := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		s := bufio.NewScanner(f)
		for line := 1; s.Scan(); line++ {
			if m := comment.FindStringSubmatch(s.Text()); m != nil {
				want[fmt.Sprintf("%s:%d", name, line)] = m[1]
			}
		}
		return s.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestBrokenModule(t *testing.T) {
	if _, err := lint("testdata"); err == nil {
		t.Error("no error for a folder with no module of its own")
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"agent", "agent", true},
		{"agent", "agent/history", false},
		{"agent/...", "agent", true},
		{"agent/...", "agent/history", true},
		{"agent/...", "agents", false},
		{"...", "anything", true},
		{"net", "net/netip", false},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%s on %s is %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

//go:build e2e

package image

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"
)

// verifyProgram checks that the program is static and for the image's platform, that it can
// be told what it was built from, and that the labels say the same.
func (s settings) verifyProgram(t *testing.T, program file) {
	t.Helper()
	e, err := elf.NewFile(bytes.NewReader(program.data))
	check(t, err)
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[s.Architecture]
	if e.Machine != machine {
		t.Errorf("%s: the program is for %v", s.Architecture, e.Machine)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s: the program is not static: it has a %v", s.Architecture, p.Type)
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(program.data))
	check(t, err)
	said := map[string]string{}
	for _, setting := range info.Settings {
		said[setting.Key] = setting.Value
	}
	if info.Main.Path != "github.com/fovea-obs/fovea" || info.Main.Version == "" || said["GOARCH"] != s.Architecture {
		t.Errorf("%s: the program is %s %s for %s", s.Architecture, info.Main.Path, info.Main.Version, said["GOARCH"])
	}
	revision := said["vcs.revision"]
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(revision) {
		t.Errorf("%s: built from revision %q", s.Architecture, revision)
	}
	if said["vcs.modified"] == "true" {
		revision += "+"
	}
	for label, want := range map[string]string{
		"title": "fovea", "version": release, "revision": revision, "created": said["vcs.time"],
		"source": "https://github.com/fovea-obs/fovea", "licenses": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
	} {
		if got := s.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("%s: label %s is %q, want %q", s.Architecture, label, got, want)
		}
	}
	if s.Config.Labels["org.opencontainers.image.description"] == "" || len(s.Config.Labels) != 7 {
		t.Errorf("%s: labels %q", s.Architecture, s.Config.Labels)
	}
	when := program.header.ModTime.UTC().Format(time.RFC3339)
	if made, err := time.Parse(time.RFC3339, s.Created); err != nil || when != said["vcs.time"] || made.UTC().Format(time.RFC3339) != when {
		t.Errorf("%s: made at %s and its file at %s, want the commit's time, %s", s.Architecture, s.Created, when, said["vcs.time"])
	}
}

// verifyVersion runs the program that was in the image.
func (s settings) verifyVersion(t *testing.T, program file) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fovea")
	check(t, os.WriteFile(path, program.data, 0o700))
	text, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	check(t, err)
	want := fmt.Sprintf("fovea %s\ncommit %s\nplatform linux/%s %s\n",
		release, s.Config.Labels["org.opencontainers.image.revision"], runtime.GOARCH, runtime.Version())
	if string(text) != want {
		t.Errorf("fovea version prints %q, want %q", text, want)
	}
}

// Package version says which fovea this is.
package version

import (
	"fmt"
	"runtime/debug"
)

// Info is what is known about a binary.
type Info struct {
	// Version is the release, such as v0.1.0, or devel.
	Version string
	// Commit is the revision that the binary was built from, with + behind it
	// if files had changed since, or unknown.
	Commit string
	// Go is the version of Go that built it, Platform what for: linux/amd64.
	Go, Platform string
}

// Describe returns what b says, as of debug.ReadBuildInfo; nil says nothing. A
// release that is not empty counts more than the version in b.
func Describe(release string, b *debug.BuildInfo) Info {
	i := Info{Version: release, Commit: "unknown", Go: "unknown", Platform: "unknown"}
	if b == nil {
		b = &debug.BuildInfo{}
	} else {
		i.Go = b.GoVersion
	}
	if i.Version == "" {
		i.Version = b.Main.Version
	}
	if i.Version == "" || i.Version == "(devel)" {
		i.Version = "devel"
	}
	s := map[string]string{}
	for _, setting := range b.Settings {
		s[setting.Key] = setting.Value
	}
	if s["vcs.revision"] != "" {
		i.Commit = s["vcs.revision"]
	}
	if s["vcs.modified"] == "true" {
		i.Commit += "+"
	}
	if s["GOOS"] != "" {
		i.Platform = s["GOOS"] + "/" + s["GOARCH"]
	}
	return i
}

// String returns it in three lines.
func (i Info) String() string {
	return fmt.Sprintf("fovea %s\ncommit %s\nplatform %s %s\n", i.Version, i.Commit, i.Platform, i.Go)
}

package version

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	built := &debug.BuildInfo{
		GoVersion: "go1.26.0",
		Main:      debug.Module{Version: "(devel)"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
			{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"},
		},
	}
	for name, tt := range map[string]struct {
		release string
		info    *debug.BuildInfo
		want    Info
	}{
		"nothing known": {"", nil, Info{"devel", "unknown", "unknown", "unknown"}},
		"built here":    {"", built, Info{"devel", "abc+", "go1.26.0", "linux/arm64"}},
		"released":      {"v0.1.0", built, Info{"v0.1.0", "abc+", "go1.26.0", "linux/arm64"}},
		"go install": {"", &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v0.2.0"}},
			Info{"v0.2.0", "unknown", "go1.26.0", "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Describe(tt.release, tt.info); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestString(t *testing.T) {
	i := Info{"v0.1.0", "abc+", "go1.26.0", "linux/arm64"}
	if want := "fovea v0.1.0\ncommit abc+\nplatform linux/arm64 go1.26.0\n"; i.String() != want {
		t.Errorf("got %q, want %q", i, want)
	}
}

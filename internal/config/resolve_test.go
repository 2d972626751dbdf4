package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// testSettings has one setting of each type.
type testSettings struct {
	Name  string
	Size  int64
	Every time.Duration
	Mode  string
	Names []string
	On    bool
	Count int
}

func (s *testSettings) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.String("config", "", "")
	f.Bool("help", false, "")
	f.StringVar(&s.Name, "node-name", "default", "")
	f.Var(Size(&s.Size), "size", "")
	f.Var(Duration(&s.Every), "every", "")
	f.Var(Choice(&s.Mode, "a", "b"), "mode", "")
	f.Var(List(&s.Names), "names", "")
	f.Var(Count(&s.Count), "count", "")
	Switch(f, &s.On, "on", "")
	return f
}

func TestPrecedence(t *testing.T) {
	const file = "node-name: file\nsize: 3KiB\nevery: 3s\nmode: b\n"
	for name, tt := range map[string]struct {
		args, environ []string
		file          string
		want          testSettings
	}{
		"defaults":          {want: testSettings{Name: "default", Size: 1}},
		"file":              {file: file, want: testSettings{Name: "file", Size: 3 << 10, Every: 3 * time.Second, Mode: "b"}},
		"environment":       {environ: []string{"FOVEA_NODE_NAME=env", "FOVEA_SIZE=2KiB"}, want: testSettings{Name: "env", Size: 2 << 10}},
		"flags":             {args: []string{"--node-name=flag", "--on"}, want: testSettings{Name: "flag", Size: 1, On: true}},
		"environment, file": {environ: []string{"FOVEA_SIZE=2KiB"}, file: file, want: testSettings{Name: "file", Size: 2 << 10, Every: 3 * time.Second, Mode: "b"}},
		"all": {args: []string{"--every=1s"}, environ: []string{"FOVEA_EVERY=2s", "FOVEA_SIZE=2KiB"}, file: file,
			want: testSettings{Name: "file", Size: 2 << 10, Every: time.Second, Mode: "b"}},
		"empty is given too": {environ: []string{"FOVEA_NODE_NAME="}, file: file, want: testSettings{Size: 3 << 10, Every: 3 * time.Second, Mode: "b"}},
		"others' variables":  {environ: []string{"SIZE=2KiB", "FOVEAL=x", "fovea_size=2KiB"}, want: testSettings{Name: "default", Size: 1}},
		"service links": {environ: []string{"FOVEA_PORT=tcp://10.0.0.1:80", "FOVEA_SERVICE_HOST=10.0.0.1", "FOVEA_RELAY_SERVICE_PORT_GRPC=80",
			"FOVEA_RELAY_PORT_80_TCP_ADDR=10.0.0.1", "FOVEA_RELAY_PORT_80_UDP=x"}, want: testSettings{Name: "default", Size: 1}},
		"types in a file": {file: "on: true\ncount: 7\nnames: [a*, '!b']\nsize: 4096\n",
			want: testSettings{Name: "default", Size: 4096, On: true, Count: 7, Names: []string{"a*", "!b"}}},
		"list with commas": {file: "names: a, b,\n", want: testSettings{Name: "default", Size: 1, Names: []string{"a", "b"}}},
		"empty file":       {file: "# nothing\n", want: testSettings{Name: "default", Size: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := testSettings{Size: 1}
			flags := got.flags()
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config", write(t, tt.file))
			}
			if err := flags.Parse(args); err != nil {
				t.Fatal(err)
			}
			if _, err := Resolve(flags, tt.environ); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	var s testSettings
	flags := s.flags()
	if _, err := Resolve(flags, []string{"FOVEA_CONFIG=" + write(t, "mode: b\n")}); err != nil || s.Mode != "b" {
		t.Errorf("mode %q, %v, want b", s.Mode, err)
	}
	if _, err := Resolve((&testSettings{}).flags(), []string{"FOVEA_CONFIG=/does/not/exist"}); err == nil ||
		err.Error() != "FOVEA_CONFIG: open /does/not/exist: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

func TestMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		file    string
		want    []string
	}{
		"environment": {environ: []string{"FOVEA_SIZE=big", "FOVEA_ON=yes", "FOVEA_EVERY=5"}, want: []string{
			`FOVEA_SIZE: "big", want a size such as 128MiB (units B, KiB, MiB, GiB, KB, MB, GB)`,
			`FOVEA_ON: "yes", want true or false`,
			`FOVEA_EVERY: "5", want a time such as 500ms, 5s or 1m`,
		}},
		"unknown variable": {environ: []string{"FOVEA_HELP=1", "FOVEA_NODENAME=x"}, want: []string{
			"FOVEA_HELP: unknown setting, allowed are FOVEA_CONFIG, FOVEA_COUNT, FOVEA_EVERY, FOVEA_MODE, FOVEA_NAMES, FOVEA_NODE_NAME, FOVEA_ON, FOVEA_SIZE",
			"FOVEA_NODENAME: unknown setting, did you mean FOVEA_NODE_NAME?",
		}},
		"file": {file: "size: 1TiB\nmode: c\nnodename: x\nmode: a\ncount: 1.5\nconfig: x\nnode-name: [a]\nnames: [[a]]\nevery:\n", want: []string{
			`FILE:1: size: "1TiB", want a size such as 128MiB (units B, KiB, MiB, GiB, KB, MB, GB)`,
			`FILE:2: mode: "c", want one of a, b`,
			`FILE:3: nodename: unknown setting, did you mean node-name?`,
			`FILE:4: mode: given twice, first in line 2`,
			`FILE:5: count: "1.5", want a whole number`,
			`FILE:6: config: unknown setting, allowed are count, every, mode, names, node-name, on, size`,
			`FILE:7: node-name: want a string`,
			`FILE:8: names: want a list`,
			`FILE:9: every: want a duration`,
		}},
		"no YAML":     {file: "size: 1\n\tmode: a\n", want: []string{`FILE:2: not YAML: found a tab character that violates indentation`}},
		"no settings": {file: "- size\n", want: []string{`FILE:1: want settings, as in history: 128MiB`}},
	} {
		t.Run(name, func(t *testing.T) {
			var s testSettings
			flags := s.flags()
			path := ""
			if tt.file != "" {
				path = write(t, tt.file)
				flags.Set("config", path)
			}
			_, err := Resolve(flags, tt.environ)
			if err == nil {
				t.Fatal("no error")
			}
			got := strings.Split(err.Error(), "\n")
			if path != "" {
				got = strings.Split(strings.ReplaceAll(err.Error(), path, "FILE"), "\n")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "3 MiB": 3 << 20, "2GiB": 2 << 30, "1KB": 1000, "5MB": 5e6, "1GB": 1e9,
		"": -1, "KiB": -1, "-1": -1, "1.5GiB": -1, "1kib": -1, "9223372036854775807": 1<<63 - 1, "9999999999GiB": -1,
	} {
		got, err := parseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
		if want >= 0 {
			if again, err := parseSize(FormatSize(want)); err != nil || again != want {
				t.Errorf("%d is written as %s", want, FormatSize(want))
			}
		}
	}
}

func TestTrace(t *testing.T) {
	s := Sources{"size": "FOVEA_SIZE"}
	err := s.Trace(&Error{Name: "size", Value: "1", Want: "more"})
	if want := `FOVEA_SIZE: "1", want more`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	err = s.Trace(&Error{Name: "mode", Value: "x", Want: "a"})
	if want := `mode (default): "x", want a`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := s.Trace(os.ErrExist); err != os.ErrExist {
		t.Errorf("another error became %v", err)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"history", "histroy", 2}, {"abc", "xabc", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestServiceLinksAreNoSettings guards that a later option does not have the name
// of a variable that is passed over.
func TestServiceLinksAreNoSettings(t *testing.T) {
	names := []string{"FOVEA_NODE_NAME", "FOVEA_SUPPORT", "FOVEA_REPORT_80"}
	if i := slices.IndexFunc(names, serviceLink.MatchString); i >= 0 {
		t.Errorf("%s is taken for a service link", names[i])
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fovea.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

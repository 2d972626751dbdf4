package config

import (
	"errors"
	"io"
	"testing"

	"github.com/spf13/cobra"
)

func TestFlagError(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"value":            {[]string{"--size=big"}, `--size: "big", want a size such as 128MiB (units B, KiB, MiB, GiB, KB, MB, GB)`},
		"value apart":      {[]string{"--mode", "c"}, `--mode: "c", want one of a, b`},
		"slip of the pen":  {[]string{"--siez=1"}, "--siez: unknown setting, did you mean --size?"},
		"unknown":          {[]string{"--verbosity=1"}, "--verbosity: unknown setting, allowed are --config, --count, --every, --help, --mode, --names, --node-name, --on, --size"},
		"no value":         {[]string{"--size"}, "flag needs an argument: --size"},
		"several mistakes": {[]string{"--count=x", "--size=big"}, `--count: "x", want a whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := &cobra.Command{Use: "test", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
			cmd.Flags().AddFlagSet((&testSettings{}).flags())
			cmd.SetFlagErrorFunc(FlagError)
			cmd.SetOut(io.Discard)
			cmd.SetArgs(tt.args)
			if err := cmd.Execute(); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTraceAll(t *testing.T) {
	s := Sources{"size": "fovea.yaml:3: size"}
	err := s.Trace(errors.Join(
		&Error{Name: "size", Value: "1", Want: "more"}, io.EOF, &Error{Source: "--mode", Name: "mode", Value: "x", Want: "a"},
	))
	if want := "fovea.yaml:3: size: \"1\", want more\nEOF\n--mode: \"x\", want a"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := s.Trace(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}

// FuzzSize holds that a size that is read is written so that it reads the same.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "128MiB", "1 GB", "-1", "1.5KiB", "9223372036854775807B", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("%q is %d", s, n)
		}
		if again, err := parseSize(FormatSize(n)); err != nil || again != n {
			t.Errorf("%q is %d, written %s, which is %d, %v", s, n, FormatSize(n), again, err)
		}
	})
}

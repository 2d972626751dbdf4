package main

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusesWhatItCannotDo(t *testing.T) {
	for _, args := range [][]string{
		{"-runs", "0"}, {"-time", "0s"}, {"-warm", "-1s"}, {"-levels", ""}, {"-levels", "idle,tcp"}, {"-levels", "tcp:-1"},
		{"-levels", "udp:1000001"}, {"-levels", "sctp:1"}, {"-levels", "udp-far:1"}, {"-levels", "-near:1"}, {"-none"}, {"more"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q passed", args)
		}
	}
}

func TestDefaults(t *testing.T) {
	o, err := parse(nil)
	check(t, err)
	if o.runs != 3 || len(o.levels) != 6 || !o.levels[0].idle() || o.levels[5] != (level{"udp", true, 50000}) {
		t.Errorf("%+v", o)
	}
}

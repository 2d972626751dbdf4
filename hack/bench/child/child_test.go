package child

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChildAnswers(t *testing.T) {
	c, err := Start(exec.Command("sh", "-c", `read line; echo '{"flows": 3}'; read line; echo '{"error": "scan: no"}'; cat`))
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Do(Command{Do: "load"}); err != nil || a.Flows != 3 {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := c.Do(Command{Do: "scan"}); err == nil || !strings.Contains(err.Error(), "scan: no") {
		t.Errorf("got error %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

func TestChildThatEnds(t *testing.T) {
	c, err := Start(exec.Command("sh", "-c", "read line; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(Command{Do: "load"}); !errors.Is(err, io.EOF) {
		t.Errorf("got error %v", err)
	}
	var exit *exec.ExitError
	if err := c.Stop(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got error %v", err)
	}
}

func TestChildThatDoesNotStart(t *testing.T) {
	if _, err := Start(exec.Command("/does/not/exist")); err == nil {
		t.Error("started")
	}
}

func TestServe(t *testing.T) {
	in := strings.NewReader(`{"do": "scan", "times": 2}` + "\n" + `{"do": "dance"}` + "\n")
	var out strings.Builder
	err := Serve(in, &out, func(c Command) (Answer, error) {
		if c.Do != "scan" {
			return Answer{}, errors.New("no such command")
		}
		return Answer{Sent: uint64(c.Times)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"sent":2}` + "\n" + `{"error":"dance: no such command"}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

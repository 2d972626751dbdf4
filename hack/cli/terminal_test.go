package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns what hubble prints if its output is a terminal.
func (s *script) terminal(t *testing.T, args []string) string {
	t.Helper()
	user, program, err := openTerminal()
	check(t, err)
	defer user.Close()
	cmd := s.cli(t, args...)
	cmd.Stdout, cmd.Stderr = program, program
	s.begin(t, cmd)
	check(t, program.Close())
	// It ends with an error when no program has the terminal any more.
	out, err := io.ReadAll(user)
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("read the terminal: %v", err)
	}
	check(t, cmd.Wait())
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

// openTerminal makes a terminal and returns the end of whoever looks at it, and
// that of programs.
func openTerminal() (user, program *os.File, err error) {
	user, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(user.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0) // unlock it
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, user.Close())
	}
	return user, program, nil
}

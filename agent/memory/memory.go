package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Release returns to the system what the garbage collector holds and nobody uses, and the
// pages of the program's own code and constants: those that are used again are mapped from
// its file again. That the latter cannot be done is no harm, and is logged.
func Release(log *slog.Logger) {
	debug.FreeOSMemory()
	if err := releaseProgram(); err != nil {
		log.Debug("The program's code stays in memory", "error", err)
	}
}

func releaseProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read what is mapped: %w", err)
	}
	for _, m := range unwritten(smaps, program) {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("release %x-%x: %w", m.start, m.end, errno)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// unwritten returns the mappings of a file in which nothing is but what is in the file, by
// a text as proc_pid_smaps(5) has it: they cannot be written to, and no page of them was
// copied, as a debugger and relocations do.
func unwritten(smaps []byte, file string) (found []mapping) {
	var m mapping
	ours := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		line := lines.Text()
		var next mapping
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &next.start, &next.end, &rights); n == 3 {
			m = next
			ours = strings.HasSuffix(line, " "+file) && strings.HasSuffix(rights, "p") && !strings.Contains(rights, "w")
			continue
		}
		if copied, is := strings.CutPrefix(line, "Anonymous:"); is && ours && strings.TrimSpace(copied) == "0 kB" {
			found = append(found, m)
		}
	}
	return found
}

package e2e

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// execWithoutLinks becomes another program, for which the calls that make BPF
// links fail. It returns only if that failed.
func execWithoutLinks(args []string) error {
	runtime.LockOSThread()
	if err := forbid(unix.SYS_BPF, unix.BPF_LINK_CREATE, unix.BPF_RAW_TRACEPOINT_OPEN); err != nil {
		return fmt.Errorf("forbid links: %w", err)
	}
	return unix.Exec(args[0], args, os.Environ())
}

// forbid makes a system call fail for this thread, and for all that come from
// it, if its first argument is one of these.
func forbid(call uint32, first ...uint32) error {
	// Offsets in struct seccomp_data.
	const number, argument = 0, 16
	// What the filter says: SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO.
	const allow, deny = 0x7fff0000, 0x00050000
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: number, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: call, SkipTrue: 1},
		bpf.RetConstant{Val: allow},
		bpf.LoadAbsolute{Off: argument, Size: 4},
	}
	for _, value := range first {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: 1},
			bpf.RetConstant{Val: deny | uint32(unix.EPERM)})
	}
	raw, err := bpf.Assemble(append(program, bpf.RetConstant{Val: allow}))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return errors.Join(
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
		unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0))
}

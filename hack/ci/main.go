// Command ci reads the output of go test -json, prints what failed or was
// skipped, and closes with one line: N passed, N failed, N skipped. It fails
// if a test failed or was skipped, or if none ran: a test that is skipped where
// all it needs is there proves nothing.
//
//	go test -json ./... | go run ./hack/ci
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	ok, err := run(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ci:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run tells whether the tests in r may pass.
func run(r io.Reader, w io.Writer) (bool, error) {
	s := summary{w: w, output: map[test][]string{}, broken: map[string]bool{}}
	if err := s.read(r); err != nil {
		return false, err
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	return s.passed > 0 && s.failed == 0 && s.skipped == 0, nil
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// The marks that the table is between.
const (
	beginMark = "<!-- sizing: begin -->\n"
	endMark   = "<!-- sizing: end -->\n"
)

// writeTable puts the table into a file, in the place of the one that is there.
func writeTable(path string, all []result) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, rest, begins := bytes.Cut(text, []byte(beginMark))
	_, after, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return fmt.Errorf("%s: want a line %q and after it a line %q", path, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	whole := bytes.Join([][]byte{before, []byte(beginMark), []byte(table(all)), []byte(endMark), after}, nil)
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// table has a row for each level.
func table(all []result) string {
	var b strings.Builder
	b.WriteString("| connections a second | flows a second | CPU of the agent | of its programs | memory, resident | with the kernel's | events lost |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range all {
		fmt.Fprintf(&b, "| %s | %s | %.3f | %.3f | %.0f MiB | %.0f MiB | %s |\n", r.title(),
			round(r.median(func(v values) float64 { return v.flows })),
			r.median(func(v values) float64 { return v.cpu }),
			r.median(func(v values) float64 { return v.programs }),
			r.median(func(v values) float64 { return v.peak }),
			r.median(func(v values) float64 { return v.memory }),
			thousands(int64(r.median(func(v values) float64 { return v.lost }))))
	}
	return b.String()
}

// title is what a level is called in the table: the rate that was asked for if it was
// reached, else the one that came to be.
func (r result) title() string {
	if r.level.idle() {
		return "0, idle"
	}
	rate := thousands(r.level.rate)
	if r.level.rate == 0 || r.reached() != nil {
		rate = round(r.median(func(v values) float64 { return v.rate }))
	}
	title := rate + ", " + strings.ToUpper(r.level.protocol)
	if r.level.near {
		title += " on one node"
	}
	return title
}

// round writes a number to two digits that count.
func round(v float64) string {
	unit := 1.0
	for v/unit >= 100 {
		unit *= 10
	}
	return thousands(int64(v/unit+0.5) * int64(unit))
}

// thousands writes a number with a comma after each three digits.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

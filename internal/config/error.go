package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Error is a setting whose value is not allowed.
type Error struct {
	// Source is where the value was given, or empty while that is not known.
	Source string
	// Name is the setting's, as its flag is called.
	Name string
	// Value is the one that was given, Want what is allowed.
	Value, Want string
}

func (e *Error) Error() string {
	source := e.Source
	if source == "" {
		source = e.Name
	}
	return fmt.Sprintf("%s: %q, want %s", source, e.Value, e.Want)
}

// Trace fills in the Source of every [Error] that err joins.
func (s Sources) Trace(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, s.Trace(e))
		}
		return errors.Join(errs...)
	}
	var e *Error
	if !errors.As(err, &e) || e.Source != "" {
		return err
	}
	traced := *e
	traced.Source = s[e.Name]
	if traced.Source == "" {
		traced.Source = e.Name + " (default)"
	}
	return &traced
}

// FlagError words the errors of pflag as those of this package: it is made for
// [cobra.Command.SetFlagErrorFunc].
func FlagError(cmd *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return &Error{Source: "--" + bad.GetFlag().Name, Value: bad.GetValue(), Want: bad.Unwrap().Error()}
	}
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		names := map[string]*pflag.Flag{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names[f.Name] = f })
		return unknown("--"+missing.GetSpecifiedName(), "--", missing.GetSpecifiedName(), names)
	}
	return err
}

// unknown says that source gives a name that is none of names. Names are shown
// with mark before them.
func unknown(source, mark, name string, names map[string]*pflag.Flag) error {
	var close []string
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if distance(n, name) <= 2 {
			close = append(close, mark+n)
		}
	}
	if len(close) > 0 {
		return fmt.Errorf("%s: unknown setting, did you mean %s?", source, strings.Join(close, " or "))
	}
	all := slices.Sorted(maps.Keys(names))
	return fmt.Errorf("%s: unknown setting, allowed are %s%s", source, mark, strings.Join(all, ", "+mark))
}

// distance is the number of letters to insert, remove or change that turn a
// into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// listType is the pflag type of flags that hold a list.
const listType = "list"

// value is a flag's value: text that parse turns into a T. The error of parse
// says what is wanted.
type value[T any] struct {
	p     *T
	kind  string
	parse func(string) (T, error)
	show  func(T) string
}

func (v value[T]) String() string {
	if v.p == nil { // pflag asks a zero value what its default would be
		return ""
	}
	return v.show(*v.p)
}

func (v value[T]) Set(s string) error {
	t, err := v.parse(s)
	if err == nil {
		*v.p = t
	}
	return err
}

func (v value[T]) Type() string { return v.kind }

// Size is a number of bytes, such as 128MiB. *p is the default.
func Size(p *int64) pflag.Value {
	return value[int64]{p, "size", parseSize, FormatSize}
}

// Count is a whole number. *p is the default.
func Count(p *int) pflag.Value {
	return value[int]{p, "number", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, errors.New("a whole number")
		}
		return n, nil
	}, strconv.Itoa}
}

// Duration is a time, such as 5s. *p is the default.
func Duration(p *time.Duration) pflag.Value {
	return value[time.Duration]{p, "duration", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errors.New("a time such as 500ms, 5s or 1m")
		}
		return d, nil
	}, time.Duration.String}
}

// Choice is one of the allowed words. *p is the default.
func Choice[T ~string](p *T, allowed ...T) pflag.Value {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return value[T]{p, strings.Join(words, "|"), func(s string) (T, error) {
		for _, a := range allowed {
			if string(a) == s {
				return a, nil
			}
		}
		return "", errors.New("one of " + strings.Join(words, ", "))
	}, func(t T) string { return string(t) }}
}

// List is a number of texts with commas between them. *p is the default.
func List(p *[]string) pflag.Value {
	return value[[]string]{p, listType, func(s string) ([]string, error) {
		var list []string
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		return list, nil
	}, func(list []string) string { return strings.Join(list, ",") }}
}

// Switch adds a flag that is true where it is given without a value. *p is the
// default.
func Switch(flags *pflag.FlagSet, p *bool, name, usage string) {
	f := flags.VarPF(value[bool]{p, "bool", func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("true or false")
		}
		return b, nil
	}, strconv.FormatBool}, name, "", usage)
	f.NoOptDefVal = "true"
}

// units are those of sizes. In each, KB follows KiB and B comes last, as the
// first that fits is taken.
var units = [...]struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

func parseSize(s string) (int64, error) {
	want := errors.New("a size such as 128MiB (units B, KiB, MiB, GiB, KB, MB, GB)")
	digits, unit := s, int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = strings.TrimRight(d, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, want
	}
	return int64(n) * unit, nil
}

// FormatSize writes a number of bytes exactly, as Size reads it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name  string
		shift int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

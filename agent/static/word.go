package static

import (
	"net/netip"
	"strings"
	"unicode"
)

// maxInterface is the most bytes that Linux allows in an interface's name.
const maxInterface = 15

func isInterface(s string) bool {
	return s != "" && len(s) <= maxInterface && s != "." && s != ".." && !has(s, "/:")
}

func isName(s string) bool { return s != "" && len(s) <= 253 && !has(s, "/") }

// isDomain tells whether DNS can hold s as a name: those of services have a _. An
// address in its place is taken for a mistake.
func isDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if _, err := netip.ParseAddr(s); err == nil || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

func isLabelKey(s string) bool { return s != "" && !has(s, ",=") }

func isLabelValue(s string) bool { return !has(s, ",") }

// has tells whether s has one of chars, or a character that is not printed.
func has(s, chars string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == unicode.ReplacementChar || strings.ContainsRune(chars, r)
	})
}

package cli

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// substitution replaces what matches a pattern.
type substitution struct{ pattern, with string }

func replace(s string, all []substitution) string {
	for _, x := range all {
		s = regexp.MustCompile(x.pattern).ReplaceAllString(s, x.with)
	}
	return s
}

// normal is what was printed, with a word in place of what differs between
// runs, JSON indented, and columns two spaces apart.
func normal(out string) string {
	var b strings.Builder
	// Protobuf's errors have the one or the other space, by the build.
	for line := range strings.Lines(strings.ReplaceAll(out, "\u00a0", " ")) {
		b.WriteString(indented(line))
	}
	return replace(b.String(), slices.Concat([]substitution{{`\x1b`, `\e`}}, inFlows(), inStatus(), []substitution{
		{`time=\S+ `, ``},
		{`unix:///\S+\.sock`, `unix://SOCKET`},
		{`/\S+\.(yaml|crt)`, `FILE`},
		{`(\S) {2,}`, `$1  `},
	}))
}

// indented is the line, on several if it is an object in JSON. Requests in what
// hubble logs have one or two spaces, by the build.
func indented(line string) string {
	if strings.Contains(line, "level=DEBUG") {
		return strings.Join(strings.Fields(line), " ") + "\n"
	}
	var b bytes.Buffer
	if !strings.HasPrefix(line, `{"`) || json.Indent(&b, []byte(line), "", "  ") != nil {
		return line
	}
	return b.String()
}

// inFlows are for what flows tell: times and dates, their names, interfaces'
// addresses and numbers, clients' ports, and functions of the kernel. Events tell
// when the agent started, and the numbers of interfaces.
func inFlows() []substitution {
	const stamp = `[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\.\d{3}`
	return []substitution{
		{`(?m)^(-*  TIMESTAMP: )?` + stamp, `${1}TIME`},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, `DATE`},
		{`[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}`, `UUID`},
		{`([\da-f]{2}:){5}[\da-f]{2}`, `MAC`},
		{`("index"|"ID"): \d+`, `$1: INDEX`},
		{`("id": )"\d+"`, `$1"INDEX"`},
		{`\b(id: )\d+`, `${1}INDEX`},
		{`(start time: )` + stamp, `${1}TIME`},
		{`(:|:\\e\[33m|_port": )4\d{4}\b`, `${1}PORT`},
		{`(DROPPED(?:\\e\[0m)? \(.*|SUMMARY: .*|"Summary": ".*); (\w+) at \w+`, `$1; $2 at PLACE`},
		{`("location": )"\w+"`, `$1"PLACE"`},
	}
}

// inStatus are for numbers of flows, which are at least 1, and times since the
// start.
func inStatus() []substitution {
	const number, part, percent = `[1-9][\d,]*`, `\d+(?:\.\d+)?`, `\( *\d\.\d\d%\)`
	const length = `(?:\d+h)?(?:\d+m)?` + part + `m?s`
	return []substitution{
		// Kernels let functions be traced or do not.
		{` \(degraded: full backlogs\)`, ``},
		{`(?m)^(Current/Max Flows: )` + number + `/` + number + ` ` + percent, `${1}N/N (N%)`},
		{`(?m)^(Flows/s: )` + part, `${1}N`},
		{`("(num|max|seen)_flows": )"` + number + `"`, `$1"N"`},
		{`("uptime_ns": )"` + number + `"`, `$1"N"`},
		{`("flows_rate": )` + part, `${1}N`},
		{`((NUM|MAX|SEEN) FLOWS: )` + number, `${1}N`},
		{`(FLOWS PER SECOND: )` + part, `${1}N`},
		{`(UPTIME: )` + length, `${1}N`},
		{number + ` {2,}` + number + ` {2,}` + number + ` {2,}` + part + ` {2,}` + length, `N  N  N  N  N`},
		{`(` + length + `|N/A) {2,}(` + part + `|N/A) {2,}` + number + `/` + number + ` ` + percent, `N  N  N/N (N%)`},
	}
}

// kinds are the lines that hubble observe printed, each kind once and sorted:
// without times, identities and flags. What the kernels themselves have to say
// is left out.
func kinds(out string) string {
	lines := slices.Collect(strings.Lines(replace(normal(out), []substitution{
		{`(?m)^TIME: `, ``},
		{` \(ID:\d+\)`, ``},
		{`TCP Flags: [A-Z, ]+`, `TCP`},
		{`(?m)^.*\(ICMPv6 (Neighbor|Router|Multicast).*\n`, ``},
	})))
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// Package yamldoc reads YAML files that people write, so that each mistake in
// them can be told by its line.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mistake is one thing that is wrong in a file.
type Mistake struct {
	// File is the file's name, as it was given.
	File string
	// Line counts from 1; it is 0 where the mistake is in no certain line.
	Line int
	// Text names the field, its value and what is allowed.
	Text string
}

// Error returns the mistake as file:line: text.
func (m Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
}

// Root returns the root of the only document in data, the content of the file
// called name, or nil if that says nothing. Its error is a [Mistake].
func Root(name string, data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntax(name, err)
	}
	switch err := dec.Decode(&next); {
	case err == nil:
		return nil, Mistake{name, next.Line, "a second document starts here, want only one in a file"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(name, err)
	}
	if root := doc.Content[0]; !Null(root) {
		return root, nil
	}
	return nil, nil
}

// syntax takes the line out of the text of an error of the YAML library.
func syntax(name string, err error) Mistake {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	return Mistake{name, line, "not YAML: " + text}
}

// Resolve returns what n stands for if it is an alias, and otherwise n.
func Resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// Null tells whether n is a value that was left out, or null.
func Null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

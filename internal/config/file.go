package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/fovea-obs/fovea/internal/yamldoc"
)

// file sets flags from the YAML file at path.
func (r *resolver) file(path string) {
	source := r.sources[fileFlag]
	data, err := os.ReadFile(path)
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", source, err))
		return
	}
	root, err := yamldoc.Root(path, data)
	switch {
	case err != nil:
		r.errs = append(r.errs, err)
		return
	case root == nil:
		return
	case root.Kind != yaml.MappingNode:
		r.errs = append(r.errs, yamldoc.Mistake{File: path, Line: root.Line, Text: "want settings, as in history: 128MiB"})
		return
	}
	r.mapping(path, root)
}

func (r *resolver) mapping(path string, root *yaml.Node) {
	names := map[string]*pflag.Flag{}
	for _, f := range settings(r.flags) {
		if f.Name != fileFlag {
			names[f.Name] = f
		}
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], yamldoc.Resolve(root.Content[i+1])
		source := fmt.Sprintf("%s:%d: %s", path, key.Line, key.Value)
		if line, twice := seen[key.Value]; twice {
			r.errs = append(r.errs, fmt.Errorf("%s: given twice, first in line %d", source, line))
			continue
		}
		seen[key.Value] = key.Line
		f, ok := names[key.Value]
		if !ok {
			r.errs = append(r.errs, unknown(source, "", key.Value, names))
			continue
		}
		text, ok := text(node, f.Value.Type() == listType)
		if !ok {
			r.errs = append(r.errs, fmt.Errorf("%s: want a %s", source, f.Value.Type()))
			continue
		}
		r.set(f, source, text)
	}
}

// text returns a scalar as it is written, or a list of them if one is allowed.
func text(n *yaml.Node, list bool) (string, bool) {
	switch {
	case n.Kind == yaml.ScalarNode && !yamldoc.Null(n):
		return n.Value, true
	case n.Kind != yaml.SequenceNode || !list:
		return "", false
	}
	parts := make([]string, len(n.Content))
	for i, e := range n.Content {
		s, ok := text(e, false)
		if !ok {
			return "", false
		}
		parts[i] = s
	}
	return strings.Join(parts, ","), true
}

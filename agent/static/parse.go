package static

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/internal/yamldoc"
)

// Parse reads the content of an endpoints file, which mistakes call name. Its
// error is of type [Mistakes] and holds all of them, in the order of lines. An
// empty file is one that says nothing.
func Parse(name string, data []byte) (*File, error) {
	root, err := yamldoc.Root(name, data)
	if err != nil {
		return nil, Mistakes{err.(yamldoc.Mistake)}
	}
	p := parser{decoder: decoder{name: name}, uses: map[use]int{}}
	if root != nil {
		p.mapping(root, "",
			field{"nodes", false, func(n *yaml.Node, path string) { p.list(n, path, p.node) }},
			field{"endpoints", false, func(n *yaml.Node, path string) { p.list(n, path, p.endpoint) }},
			field{"services", false, func(n *yaml.Node, path string) { p.list(n, path, p.service) }},
			field{"names", false, func(n *yaml.Node, path string) { p.list(n, path, p.named) }})
	}
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b yamldoc.Mistake) int { return a.Line - b.Line })
		return nil, p.mistakes
	}
	return &p.file, nil
}

// parser fills file.
type parser struct {
	decoder
	file File
	// uses holds the line in which something was used that may be used once.
	uses map[use]int
}

// use is something that only one entry may have: {interface veth-web}.
type use struct {
	kind  string
	value any
}

// once notes a mistake if another entry uses value too.
func (p *parser) once(n *yaml.Node, path, kind string, value any, shown string) {
	line, used := p.uses[use{kind, value}]
	switch {
	case shown == "": // a mistake already
	case used:
		p.wrong(n, path, "%q is already used in line %d, want each %s once", shown, line, kind)
	default:
		p.uses[use{kind, value}] = n.Line
	}
}

func (p *parser) node(n *yaml.Node, path string) {
	var node endpoint.Node
	p.mapping(n, path,
		field{"name", true, func(n *yaml.Node, path string) {
			node.Name = p.name(n, path)
			p.once(n, path, "node", node.Name, node.Name)
		}},
		field{"addresses", true, func(n *yaml.Node, path string) {
			node.Addresses = p.addresses(n, path)
			p.notEmpty(n, path, "address")
		}})
	p.file.Nodes = append(p.file.Nodes, node)
}

func (p *parser) endpoint(n *yaml.Node, path string) {
	var e Endpoint
	before := len(p.mistakes)
	p.mapping(n, path,
		field{"interface", false, func(n *yaml.Node, path string) {
			e.Interface = p.word(n, path, "an interface's name: 1 to 15 bytes with no space, slash or colon", isInterface)
			p.once(n, path, "interface", e.Interface, e.Interface)
		}},
		field{"addresses", false, func(n *yaml.Node, path string) { e.Addresses = p.addresses(n, path) }},
		field{"namespace", false, func(n *yaml.Node, path string) { e.Namespace = p.name(n, path) }},
		field{"pod", false, func(n *yaml.Node, path string) { e.Pod = p.name(n, path) }},
		field{"labels", false, func(n *yaml.Node, path string) { e.Labels = p.labels(n, path) }},
		field{"workload", false, func(n *yaml.Node, path string) { e.Workload = p.workload(n, path) }})
	p.file.Endpoints = append(p.file.Endpoints, e)
	if len(p.mistakes) > before {
		return
	}
	switch {
	case e.Interface == "" && e.Pod == "":
		p.wrong(n, path, "has no name, want an interface or a pod")
	case e.Interface == "" && len(e.Addresses) == 0:
		p.wrong(n, path, "cannot be found, want an interface or addresses")
	case e.Pod != "" && e.Namespace == "":
		p.wrong(n, join(path, "namespace"), "missing, want the namespace of pod %q", e.Pod)
	case e.Pod != "":
		p.once(n, path, "pod", e.key(), e.key())
	}
}

func (p *parser) service(n *yaml.Node, path string) {
	var s Service
	before := len(p.mistakes)
	p.mapping(n, path,
		field{"name", true, func(n *yaml.Node, path string) { s.Name = p.name(n, path) }},
		field{"namespace", true, func(n *yaml.Node, path string) { s.Namespace = p.name(n, path) }},
		field{"address", true, func(n *yaml.Node, path string) { s.Address, _ = p.address(n, path) }},
		field{"port", false, func(n *yaml.Node, path string) { s.Port = p.port(n, path) }},
		field{"protocol", false, func(n *yaml.Node, path string) { s.Protocol = p.protocol(n, path) }})
	p.file.Services = append(p.file.Services, s)
	if len(p.mistakes) > before {
		return
	}
	if s.Protocol != 0 && s.Port == 0 {
		p.wrong(n, join(path, "port"), "missing, want the port that protocol belongs to")
		return
	}
	shown := s.Address.String()
	if s.Port != 0 {
		shown = netip.AddrPortFrom(s.Address, s.Port).String()
	}
	p.once(n, path, "address and port of a service", s.frontend(), shown)
}

func (p *parser) named(n *yaml.Node, path string) {
	var v Names
	p.mapping(n, path,
		field{"address", true, func(n *yaml.Node, path string) {
			if a, ok := p.address(n, path); ok {
				v.Address = a
				p.once(n, path, "address of names", a, a.String())
			}
		}},
		field{"names", true, func(n *yaml.Node, path string) {
			p.list(n, path, func(n *yaml.Node, path string) {
				v.Names = append(v.Names, p.domain(n, path))
			})
			p.notEmpty(n, path, "name")
		}})
	p.file.Names = append(p.file.Names, v)
}

// notEmpty notes a mistake if n is a list of nothing.
func (p *parser) notEmpty(n *yaml.Node, path, what string) {
	if r := yamldoc.Resolve(n); yamldoc.Null(r) || r.Kind == yaml.SequenceNode && len(r.Content) == 0 {
		p.wrong(n, path, "empty, want at least one %s", what)
	}
}

// addresses returns a list of addresses that no node or endpoint shares.
func (p *parser) addresses(n *yaml.Node, path string) []netip.Addr {
	var list []netip.Addr
	p.list(n, path, func(n *yaml.Node, path string) {
		if a, ok := p.address(n, path); ok {
			p.once(n, path, "address", a, a.String())
			list = append(list, a)
		}
	})
	return list
}

func (p *parser) labels(n *yaml.Node, path string) map[string]string {
	labels := map[string]string{}
	p.pairs(n, path, func(key, value *yaml.Node, path string) {
		if !isLabelKey(key.Value) {
			p.wrong(key, path, "%q, want a label's name with no space, comma or =", key.Value)
		}
		labels[key.Value] = p.word(value, path, "a label's value with no space or comma", isLabelValue)
	})
	return labels
}

func (p *parser) workload(n *yaml.Node, path string) endpoint.Workload {
	var w endpoint.Workload
	p.mapping(n, path,
		field{"kind", true, func(n *yaml.Node, path string) { w.Kind = p.name(n, path) }},
		field{"name", true, func(n *yaml.Node, path string) { w.Name = p.name(n, path) }})
	return w
}

func (p *parser) name(n *yaml.Node, path string) string {
	return p.word(n, path, "a name: 1 to 253 bytes with no space or slash", isName)
}

// domain returns a domain name in the form that File has.
func (p *parser) domain(n *yaml.Node, path string) string {
	s := p.word(n, path, "a domain name such as api.example.com, of letters, digits, - and _", isDomain)
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

func (p *parser) port(n *yaml.Node, path string) uint16 {
	var port uint64
	p.word(n, path, "a port: 1 to 65535", func(s string) bool {
		var err error
		port, err = strconv.ParseUint(s, 10, 16)
		return err == nil && port > 0
	})
	return uint16(port)
}

func (p *parser) protocol(n *yaml.Node, path string) uint8 {
	numbers := map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}
	s := p.word(n, path, "tcp, udp or sctp", func(s string) bool { return numbers[s] != 0 })
	return numbers[s]
}

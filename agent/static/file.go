package static

import (
	"net/netip"
	"strings"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/internal/yamldoc"
)

// File is the content of an endpoints file.
type File struct {
	Nodes     []endpoint.Node
	Endpoints []Endpoint
	Services  []Service
	Names     []Names
}

// Endpoint is one entry of a file's endpoints. Either Interface or Pod may be
// empty, not both.
type Endpoint struct {
	Interface      string
	Addresses      []netip.Addr
	Namespace, Pod string
	Labels         map[string]string
	// Workload is what runs the pod; its zero value is none.
	Workload endpoint.Workload
}

// Service is one entry of a file's services. Port 0 stands for all ports,
// Protocol 0 for all protocols.
type Service struct {
	Namespace, Name string
	Address         netip.Addr
	Port            uint16
	Protocol        uint8
}

// Names is one entry of a file's names: those of an address, as a client would
// ask DNS for them, in lower case and without the last dot.
type Names struct {
	Address netip.Addr
	Names   []string
}

// key is the name under which the endpoint table knows e. Interfaces have no
// slash in their name.
func (e *Endpoint) key() string {
	if e.Pod == "" {
		return e.Interface
	}
	return e.Namespace + "/" + e.Pod
}

// Mistakes are all that is wrong in a file, as [Parse] returns them.
type Mistakes []yamldoc.Mistake

// Error returns one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

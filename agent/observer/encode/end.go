package encode

import (
	"strings"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/observer/lookup"
	"github.com/fovea-obs/fovea/agent/service"
)

func appendEndpoint(b []byte, v *endpoint.Endpoint, f fields) []byte {
	if f.has(endpointID) {
		b = appendNumber(b, endpointID, uint64(v.ID))
	}
	if f.has(endpointIdentity) {
		b = appendNumber(b, endpointIdentity, uint64(v.Identity))
	}
	if f.has(endpointNamespace) {
		b = appendString(b, endpointNamespace, v.Namespace)
	}
	if f.has(endpointLabels) {
		for _, l := range v.Labels {
			b = appendText(b, endpointLabels, l)
		}
	}
	if f.has(endpointPod) {
		b = appendString(b, endpointPod, v.Pod)
	}
	if f.has(endpointWorkloads) {
		for _, w := range v.Workloads {
			b = append(b, tag1(endpointWorkloads, typeBytes), 0, 0)
			start := len(b)
			b = appendString(appendString(b, workloadName, w.Name), workloadKind, w.Kind)
			b = closeMessage(b, start)
		}
	}
	if f.has(endpointCluster) {
		b = appendString(b, endpointCluster, v.Cluster)
	}
	return b
}

// services are the messages of services, each after its length.
type services struct {
	cache[[]byte]
	fields fields
}

func (s *services) get(t *lookup.Tables, number uint32) []byte {
	if m := s.find(uint64(number)); m != nil {
		return *m
	}
	v := t.Services.At(service.Number(number))
	m := s.claim(uint64(number))
	b := append((*m)[:0], 0, 0)
	if s.fields.has(serviceName) {
		b = appendString(b, serviceName, v.Name)
	}
	if s.fields.has(serviceNamespace) {
		b = appendString(b, serviceNamespace, v.Namespace)
	}
	*m = closeMessage(b, 2)
	return *m
}

// namesOf returns the names of both ends, as fields of the flow that follow each
// other.
func (e *Encoder) namesOf(number uint32) []byte {
	if m := e.names.find(uint64(number)); m != nil {
		return *m
	}
	names := e.tables.Names.At(number)
	m := e.names.claim(uint64(number))
	b := (*m)[:0]
	if e.want.flow.has(flowSourceNames) {
		for _, n := range names.Source {
			b = appendText(b, flowSourceNames, n)
		}
	}
	if e.want.flow.has(flowDestinationNames) {
		for _, n := range names.Destination {
			b = appendText(b, flowDestinationNames, n)
		}
	}
	*m = b
	return b
}

// netInterface appends an interface. Its name is remembered, and not its message:
// a node may have more interfaces than a cache has room for, and to write a name
// that has to be asked for again allocates nothing.
func (e *Encoder) netInterface(b []byte, index uint32) []byte {
	b = append(appendTag2(b, flowInterface, typeBytes), 0, 0)
	start := len(b)
	if e.want.netInterface.has(interfaceIndex) {
		b = appendNumber(b, interfaceIndex, uint64(index))
	}
	if e.want.netInterface.has(interfaceName) {
		if name := e.nameOf(index); name != "" {
			b = appendVarint(append(b, tag1(interfaceName, typeBytes)), uint64(len(name)))
			b = append(b, name...)
		}
	}
	return closeMessage(b, start)
}

// nameOf returns an interface's name, as UTF-8.
func (e *Encoder) nameOf(index uint32) string {
	if name := e.interfaces.find(uint64(index)); name != nil {
		return *name
	}
	name := e.interfaces.claim(uint64(index))
	*name = strings.ToValidUTF8(e.tables.InterfaceName(index), "\uFFFD")
	return *name
}

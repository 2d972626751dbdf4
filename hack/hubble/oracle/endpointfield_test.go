package oracle

import (
	flowpb "github.com/cilium/cilium/api/v1/flow"
)

// endpointFields are the fields on who the two sides are.
func endpointFields() map[string]fieldGenerator {
	type filter = flowpb.FlowFilter
	return map[string]fieldGenerator{
		"source_pod":      func(g *generator, f *filter) { f.SourcePod = g.pods(g.flow.GetSource()) },
		"destination_pod": func(g *generator, f *filter) { f.DestinationPod = g.pods(g.flow.GetDestination()) },
		"source_service":  func(g *generator, f *filter) { f.SourceService = g.services(g.flow.GetSourceService()) },
		"destination_service": func(g *generator, f *filter) {
			f.DestinationService = g.services(g.flow.GetDestinationService())
		},
		"source_label":      func(g *generator, f *filter) { f.SourceLabel = g.selectors(g.flow.GetSource().GetLabels()) },
		"destination_label": func(g *generator, f *filter) { f.DestinationLabel = g.selectors(g.flow.GetDestination().GetLabels()) },
		"source_workload":   func(g *generator, f *filter) { f.SourceWorkload = g.workloads(g.flow.GetSource()) },
		"destination_workload": func(g *generator, f *filter) {
			f.DestinationWorkload = g.workloads(g.flow.GetDestination())
		},
		"source_cluster_name": func(g *generator, f *filter) { f.SourceClusterName = g.clusters(g.flow.GetSource()) },
		"destination_cluster_name": func(g *generator, f *filter) {
			f.DestinationClusterName = g.clusters(g.flow.GetDestination())
		},
		"source_identity": func(g *generator, f *filter) { f.SourceIdentity = g.identities(g.flow.GetSource()) },
		"destination_identity": func(g *generator, f *filter) {
			f.DestinationIdentity = g.identities(g.flow.GetDestination())
		},
		"source_fqdn":      func(g *generator, f *filter) { f.SourceFqdn = g.fqdns(g.flow.GetSourceNames()) },
		"destination_fqdn": func(g *generator, f *filter) { f.DestinationFqdn = g.fqdns(g.flow.GetDestinationNames()) },
	}
}

func (g *generator) pods(e *flowpb.Endpoint) []string {
	return g.namespaced(e.GetNamespace(), e.GetPodName(), func() (string, string) {
		other := oneOf(g.Rand, g.u.endpoints)
		return other.Namespace, other.Pod
	})
}

func (g *generator) services(s *flowpb.Service) []string {
	return g.namespaced(s.GetNamespace(), s.GetName(), func() (string, string) {
		other := oneOf(g.Rand, g.u.services)
		return other.Namespace, other.Name
	})
}

// namespaced makes prefixes of a name or of another one, in all their forms.
func (g *generator) namespaced(namespace, name string, other func() (string, string)) []string {
	return g.texts(func() string {
		ns, n := namespace, name
		if chance(g.Rand, 0.2) {
			ns, n = other()
		}
		switch g.IntN(8) {
		case 0:
			return ns + "/"
		case 1:
			return "/" + g.part(n)
		case 2:
			return "/"
		case 3:
			return g.part(n) + "b" // never empty
		case 4:
			return ns + "/" + n
		case 5:
			if n != "" {
				return n
			}
		}
		return ns + "/" + g.part(n)
	}, "", "a/b/c", namespace+"/"+name+"/", "//")
}

func (g *generator) workloads(e *flowpb.Endpoint) []*flowpb.Workload {
	var out []*flowpb.Workload
	for range g.count() {
		w := &flowpb.Workload{Name: "web", Kind: "Deployment"}
		if has := e.GetWorkloads(); len(has) > 0 {
			w.Name, w.Kind = has[0].GetName(), has[0].GetKind()
		}
		switch g.IntN(6) {
		case 0:
			w.Name = ""
		case 1:
			w.Kind = ""
		case 2:
			w.Name, w.Kind = g.part(w.GetName()), "StatefulSet"
		}
		out = append(out, w)
	}
	return out
}

func (g *generator) clusters(e *flowpb.Endpoint) []string {
	return g.texts(func() string {
		if name := e.GetClusterName(); name != "" && chance(g.Rand, 0.8) {
			return name
		}
		return oneOf(g.Rand, []string{"prod", "default", "other", "pro"})
	}, "")
}

func (g *generator) identities(e *flowpb.Endpoint) []uint32 {
	out := []uint32{e.GetIdentity()}
	for range g.count() {
		out = append(out, oneOf(g.Rand, []uint32{0, 1, 2, 6, 256, e.GetIdentity() ^ 1}))
	}
	return out[g.IntN(2):]
}

func (g *generator) fqdns(has []string) []string {
	return g.texts(func() string {
		name := oneOf(g.Rand, append(g.u.names, has...))
		i := g.IntN(len(name))
		switch g.IntN(6) {
		case 0:
			return "*"
		case 1:
			return " " + name + ". "
		case 2:
			return "*" + name[i:]
		case 3:
			return name[:i] + "*"
		case 4:
			return name[:i] + "*" + name[i+g.IntN(len(name)-i):]
		}
		return name
	}, "", ".", " ", "a..", "a/b", "a b", "a?", "ä.com", "(")
}

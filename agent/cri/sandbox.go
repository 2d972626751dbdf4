package cri

import (
	"net/netip"
	"slices"
	"strings"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// Labels and annotations of sandboxes that are the kubelet's, and labels that
// pods cannot give themselves.
const (
	podLabelsPart    = "io.kubernetes.pod."
	ciliumPart       = "io.cilium.k8s."
	sourceAnnotation = "kubernetes.io/config.source"
	sourceAPI        = "api"
)

// sandbox is what is kept of a pod's sandbox.
type sandbox struct {
	// key is the pod's uid, or of a pod without one the sandbox's.
	key     string
	binding endpoint.Binding
	// created is when, in nanoseconds since 1970.
	created int64
}

// convert returns what is told of a sandbox, nil if nothing is: it is of the
// node's network, of a static pod, or has no name. One without addresses may get
// them yet.
func convert(s *runtime.PodSandboxStatus, cluster string) *sandbox {
	about := s.GetMetadata()
	if about.GetName() == "" || s.GetLinux().GetNamespaces().GetOptions().GetNetwork() == runtime.NamespaceMode_NODE {
		return nil
	}
	if from, ok := s.GetAnnotations()[sourceAnnotation]; ok && from != sourceAPI {
		return nil
	}
	labels := map[string]string{}
	for k, v := range s.GetLabels() {
		if !strings.HasPrefix(k, podLabelsPart) && !strings.HasPrefix(k, ciliumPart) {
			labels[k] = v
		}
	}
	key := about.GetUid()
	if key == "" {
		key = s.GetId()
	}
	return &sandbox{
		key: key,
		binding: endpoint.Binding{
			Endpoint:  endpoint.ForPod(cluster, about.GetNamespace(), about.GetName(), labels, nil),
			Addresses: addresses(s.GetNetwork()), Local: true,
		},
		created: max(s.GetCreatedAt(), 0),
	}
}

// addresses are those of a sandbox that can be one host's.
func addresses(n *runtime.PodSandboxNetworkStatus) (all []netip.Addr) {
	texts := []string{n.GetIp()}
	for _, more := range n.GetAdditionalIps() {
		texts = append(texts, more.GetIp())
	}
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		a = a.Unmap()
		if err != nil || a.Zone() != "" || !a.IsGlobalUnicast() || slices.Contains(all, a) {
			continue
		}
		all = append(all, a)
	}
	return all
}

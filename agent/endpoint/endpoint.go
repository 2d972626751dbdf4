package endpoint

import (
	"crypto/sha256"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// Number is an interned version of an endpoint, valid in the Table that gave it
// for as long as the table, or somebody who tells its Release, needs it.
type Number uint32

// Versions that every Table has.
const (
	// Unknown is who cannot be named.
	Unknown Number = iota
	// World is whoever is outside the cluster.
	World
	// Host is this node.
	Host
	// RemoteNode is another node of the cluster.
	RemoteNode
)

// Reserved identities, as in Cilium's pkg/identity.
const (
	identityUnknown    = 0
	identityHost       = 1
	identityWorld      = 2
	identityUnmanaged  = 3
	identityRemoteNode = 6
	identityAPIServer  = 7
	// minIdentity is the least identity of endpoints with labels of their own.
	minIdentity = 256
)

// Workload is what runs an endpoint's pod: {Deployment web}.
type Workload struct{ Kind, Name string }

// Endpoint is one version of what is known about an endpoint. It is never
// changed once it was given to a Table.
type Endpoint struct {
	// ID tells the endpoints of this node apart; 0 for all others.
	ID uint32
	// Identity is the number of the endpoint's identity: see Identity.
	Identity uint32
	Cluster  string
	// Namespace and Pod are the pod's names, empty if it is none.
	Namespace, Pod string
	// Labels are sorted, in Cilium's form: k8s:app=web.
	Labels    []string
	Workloads []Workload
	// Ports are those of the pod's containers that have names.
	Ports []Port
}

// Port is a port of a pod that has a name. Protocol is its number in IP.
type Port struct {
	Name     string
	Number   uint16
	Protocol uint8
}

// IsUnknown tells whether it is not known who the endpoint is.
func (e *Endpoint) IsUnknown() bool {
	return e.Identity == identityUnknown || e.Identity == identityUnmanaged
}

// IsNode tells whether the endpoint is this node or another.
func (e *Endpoint) IsNode() bool {
	return e.Identity == identityHost || e.Identity == identityRemoteNode || e.Identity == identityAPIServer
}

// IsHost tells whether the endpoint is this node.
func (e *Endpoint) IsHost() bool { return e.Identity == identityHost }

// ForPod returns the endpoint of a pod that has these Kubernetes labels. Like
// Hubble, it adds the pod's namespace and cluster as labels. An endpoint that is
// not of Kubernetes may lack the names.
func ForPod(cluster, namespace, pod string, labels map[string]string, workloads []Workload) Endpoint {
	list := make([]string, 0, len(labels)+2)
	for k, v := range labels {
		list = append(list, "k8s:"+k+"="+v)
	}
	list = append(list, "k8s:io.cilium.k8s.policy.cluster="+cluster)
	if namespace != "" {
		list = append(list, "k8s:io.kubernetes.pod.namespace="+namespace)
	}
	return ForLabels(cluster, namespace, pod, list, workloads)
}

// ForLabels returns the endpoint of a pod that has these labels and no others, in
// Cilium's form. It sorts the list, which is the endpoint's from now on.
func ForLabels(cluster, namespace, pod string, labels []string, workloads []Workload) Endpoint {
	slices.Sort(labels)
	return Endpoint{
		Identity: Identity(labels), Cluster: cluster, Namespace: namespace, Pod: pod,
		Labels: labels, Workloads: workloads,
	}
}

// ForService returns the endpoint that stands for a Service where the pod
// behind it is not known. It is not a pod: it has no name or labels, but an
// identity of its own and the Service as its workload, by which clients that
// draw a map tell Services apart.
func ForService(cluster, namespace, name string) Endpoint {
	return Endpoint{
		Identity: Identity([]string{
			"k8s:io.cilium.k8s.policy.cluster=" + cluster,
			"k8s:io.kubernetes.pod.namespace=" + namespace,
			"k8s:io.kubernetes.service.name=" + name,
		}),
		Cluster: cluster, Namespace: namespace,
		Workloads: []Workload{{Kind: "Service", Name: name}},
	}
}

// Identity returns the number that stands for a sorted set of labels: 256 or
// more, and the same on every node without any agreement, as it is a hash. Of
// 1,000 sets of labels, two share a number with a chance of 1 in 8,600. Labels
// that differ between the pods of one workload do not count, so that the pods
// of a Deployment share an identity over its revisions.
func Identity(labels []string) uint32 {
	h := fnv.New64a()
	for _, l := range labels {
		if perPod(l) {
			continue
		}
		h.Write([]byte(l))
		h.Write([]byte{0})
	}
	v := h.Sum64()
	// FNV mixes its last bytes little into the high bits: fold them.
	return minIdentity + uint32((v^v>>29)%(1<<32-minIdentity))
}

// perPod tells whether a label is one that controllers add to tell pods or
// revisions of a workload apart.
func perPod(label string) bool {
	key, _, _ := strings.Cut(strings.TrimPrefix(label, "k8s:"), "=")
	switch key {
	case "pod-template-hash", "controller-revision-hash", "pod-template-generation",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
		"batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/controller-uid",
		"batch.kubernetes.io/job-name", "controller-uid", "job-name":
		return true
	}
	return false
}

// key is equal for equal endpoints, and for no others: nobody can make labels
// that have another's. A hash is a tenth of what it is of.
type key [sha256.Size]byte

func (e *Endpoint) key() key {
	b := strconv.AppendUint(nil, uint64(e.ID), 36)
	b = strconv.AppendUint(append(b, ' '), uint64(e.Identity), 36)
	// Quoted, so that no two lists look alike.
	for _, s := range []string{e.Cluster, e.Namespace, e.Pod} {
		b = strconv.AppendQuote(b, s)
	}
	for _, l := range e.Labels {
		b = strconv.AppendQuote(append(b, ','), l)
	}
	for _, w := range e.Workloads {
		b = strconv.AppendQuote(strconv.AppendQuote(append(b, ';'), w.Kind), w.Name)
	}
	for _, p := range e.Ports {
		b = strconv.AppendQuote(append(b, ':'), p.Name)
		b = strconv.AppendUint(append(b, ' '), uint64(p.Number), 36)
		b = strconv.AppendUint(append(b, ' '), uint64(p.Protocol), 36)
	}
	return sha256.Sum256(b)
}

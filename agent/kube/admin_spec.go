package kube

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// adminSpec is the spec of a policy of the group policy.networking.k8s.io. It has
// the fields of all its kinds: readAdmin refuses those that a kind does not have.
type adminSpec struct {
	// Tier is of ClusterNetworkPolicies.
	Tier *string `json:"tier"`
	// Priority is of all but BaselineAdminNetworkPolicies.
	Priority *int32      `json:"priority"`
	Subject  podsSpec    `json:"subject"`
	Ingress  []adminRule `json:"ingress"`
	Egress   []adminRule `json:"egress"`
}

// adminRule is a rule of one direction, which says whether it has From or To.
type adminRule struct {
	Name   string      `json:"name"`
	Action string      `json:"action"`
	From   []podsSpec  `json:"from"`
	To     []adminPeer `json:"to"`
	// Ports are of the older kinds, Protocols of ClusterNetworkPolicies.
	Ports     *[]adminPort     `json:"ports"`
	Protocols *[]protocolMatch `json:"protocols"`
}

// podsSpec has one of its fields.
type podsSpec struct {
	Namespaces *metav1.LabelSelector `json:"namespaces"`
	Pods       *struct {
		NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`
		PodSelector       metav1.LabelSelector `json:"podSelector"`
	} `json:"pods"`
}

// adminPeer has one of its fields.
type adminPeer struct {
	podsSpec    `json:",inline"`
	Nodes       *metav1.LabelSelector `json:"nodes"`
	Networks    []string              `json:"networks"`
	DomainNames []string              `json:"domainNames"`
}

// adminPort has one of its fields. A protocol is TCP if none is said.
type adminPort struct {
	PortNumber *struct {
		Protocol string `json:"protocol"`
		Port     int32  `json:"port"`
	} `json:"portNumber"`
	NamedPort *string `json:"namedPort"`
	PortRange *struct {
		Protocol string `json:"protocol"`
		Start    int32  `json:"start"`
		End      int32  `json:"end"`
	} `json:"portRange"`
}

// protocolMatch has one of its fields.
type protocolMatch struct {
	TCP                  *portMatch `json:"tcp"`
	UDP                  *portMatch `json:"udp"`
	SCTP                 *portMatch `json:"sctp"`
	DestinationNamedPort *string    `json:"destinationNamedPort"`
}

// portMatch is what is asked of a protocol. The port has one of its fields.
type portMatch struct {
	DestinationPort *struct {
		Number *int32 `json:"number"`
		Range  *struct {
			Start int32 `json:"start"`
			End   int32 `json:"end"`
		} `json:"range"`
	} `json:"destinationPort"`
}

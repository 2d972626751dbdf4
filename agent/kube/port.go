package kube

import (
	"math"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
)

// namedPort is a port of a pod that has a name, of which there is one copy.
type namedPort struct {
	name     unique.Handle[string]
	number   uint16
	protocol uint8
}

// namedPorts are those of a pod's containers, and of those that start first and
// go on beside them.
func (m *mirror) namedPorts(o *corev1.Pod) (list []namedPort) {
	add := func(c *corev1.Container) {
		for i := range c.Ports {
			p := &c.Ports[i]
			n := protocol(p.Protocol)
			if !isName(p.Name) || p.ContainerPort <= 0 || p.ContainerPort > math.MaxUint16 || n == 0 {
				continue
			}
			named := namedPort{unique.Make(p.Name), uint16(p.ContainerPort), n}
			switch {
			case slices.Contains(list, named):
			case len(list) == maxPorts:
				m.addresses.left("named ports", maxPorts, name{o.Namespace, o.Name})
				return
			default:
				list = append(list, named)
			}
		}
	}
	for i := range o.Spec.Containers {
		add(&o.Spec.Containers[i])
	}
	for i := range o.Spec.InitContainers {
		c := &o.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	return list
}

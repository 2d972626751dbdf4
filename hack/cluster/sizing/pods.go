package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What is applied to the cluster.
const (
	podsNamespace = `
apiVersion: v1
kind: Namespace
metadata: {name: sizing}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sizing, namespace: sizing}
---
`
	// idlePods are how many, and their image.
	idlePods = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: idle, namespace: sizing}
spec:
  replicas: %d
  selector: {matchLabels: {app: idle}}
  template:
    metadata: {labels: {app: idle}}
    spec:
      serviceAccountName: sizing
      terminationGracePeriodSeconds: 1
      containers:
      - {name: idle, image: %q, imagePullPolicy: Never, args: [server]}
---
`
	// onePod is its name, node, image and arguments.
	onePod = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: sizing, labels: {app: %[1]s}}
spec:
  nodeName: %[2]s
  restartPolicy: Never
  serviceAccountName: sizing
  terminationGracePeriodSeconds: 5
  containers:
  - {name: %[1]s, image: %[3]q, imagePullPolicy: Never, args: %[4]s}
---
`
)

const (
	// arrivePoll is how often it is looked whether connections arrive: the kernel
	// counts them and tells nobody.
	arrivePoll = 100 * time.Millisecond
	// loadTimeout is how long it may take until one does.
	loadTimeout = time.Minute
)

// arrived is how many connections of a protocol the pod that answers has taken.
func (s *stage) arrived(protocol string) (int64, error) {
	if protocol == "tcp" {
		return counter(s.server, "Tcp", "PassiveOpens")
	}
	return counter(s.server, "Udp", "InDatagrams")
}

// load starts the pod that makes connections, on the first node or where the one is that
// answers, and returns once they arrive. The caller must endLoad.
func (s *stage) load(ctx context.Context, l level) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	before, err := s.arrived(l.protocol)
	if err != nil {
		return err
	}
	rate := l.rate
	if rate == 0 {
		rate = mostRate
	}
	from := s.Nodes()[0]
	if l.near {
		from = s.Nodes()[1]
	}
	args := fmt.Sprintf(`["load", "-rate", "%d", "%s://%s"]`, rate, l.protocol, s.address)
	if err := s.Apply(ctx, fmt.Sprintf(onePod, "load", from.Name, workloadImage, args)); err != nil {
		return err
	}
	tick := time.NewTicker(arrivePoll)
	defer tick.Stop()
	for {
		now, err := s.arrived(l.protocol)
		if err != nil || now > before {
			return err
		}
		select {
		case <-ctx.Done():
			text, err := s.Logs(context.WithoutCancel(ctx), "sizing", "load", "")
			return fmt.Errorf("%s: no connection arrives: %w: %s", l.name(), errors.Join(ctx.Err(), err), text)
		case <-tick.C:
		}
	}
}

// endLoad ends the pod that makes connections.
func (s *stage) endLoad(ctx context.Context) error {
	_, err := s.Kubectl(ctx, "--namespace", "sizing", "delete", "pod", "load", "--ignore-not-found")
	return err
}

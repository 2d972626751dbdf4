package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/hack/apiserver"
)

// A large cluster: each workload has ten pods, and every other one a Service.
const (
	kubeNamespaces = 100
	kubeNodes      = 500
	kubeServices   = 1_000
	kubePods       = 10_000
	kubeReplicas   = 10
	// kubeWriters write at a time.
	kubeWriters = 32
)

// populate fills the cluster.
func populate(ctx context.Context, s *apiserver.Server) error {
	c, err := apiserver.NewClient(s.Kubeconfig)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		n    int
		make func(ctx context.Context, i int) error
	}{
		{kubeNamespaces, func(ctx context.Context, i int) error { return c.Create(ctx, kubeNamespace(i)) }},
		{kubeNodes, func(ctx context.Context, i int) error { return withStatus(ctx, c, kubeNode(i)) }},
		{kubeServices, func(ctx context.Context, i int) error { return c.Create(ctx, kubeService(i)) }},
		{kubePods, func(ctx context.Context, i int) error { return withStatus(ctx, c, kubePod(i)) }},
	} {
		if err := inParallel(ctx, kind.n, kind.make); err != nil {
			return err
		}
	}
	return nil
}

// inParallel calls do for all numbers below n, until one fails.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range kubeWriters {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// withStatus creates a node or a pod, and then writes the status that it has.
func withStatus(ctx context.Context, c *apiserver.Client, o apiserver.Object) error {
	switch o := o.(type) {
	case *corev1.Node:
		status := o.Status
		if err := c.Create(ctx, o); err != nil {
			return err
		}
		o.Status = status
	case *corev1.Pod:
		status := o.Status
		if err := c.Create(ctx, o); err != nil {
			return err
		}
		o.Status = status
	}
	return c.UpdateStatus(ctx, o)
}

func kubeNamespaceName(i int) string { return fmt.Sprintf("team-%02d", i%kubeNamespaces) }

func kubeApp(i int) string { return fmt.Sprintf("app-%04d", i) }

func kubeNamespace(i int) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: kubeNamespaceName(i), Labels: map[string]string{"team": fmt.Sprint(i % 20), "tier": "production"},
	}}
}

func kubeNode(i int) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i), Labels: map[string]string{"kubernetes.io/os": "linux"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{
			Type: corev1.NodeInternalIP, Address: netip.AddrFrom4([4]byte{172, 31, byte(i >> 8), byte(i)}).String(),
		}}},
	}
}

func kubeService(i int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: kubeNamespaceName(i), Name: kubeApp(i)},
		Spec: corev1.ServiceSpec{
			ClusterIP: netip.AddrFrom4([4]byte{10, 96, byte(i>>8) + 1, byte(i)}).String(),
			Selector:  map[string]string{"app": kubeApp(i)},
			Ports:     []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "grpc", Port: 9000}},
		},
	}
}

func kubePod(i int) *corev1.Pod {
	app, hash, controller := i/kubeReplicas, fmt.Sprintf("6d5f%05x", i/kubeReplicas), true
	address, now := netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}).String(), metav1.Now()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: kubeNamespaceName(app), Name: fmt.Sprintf("%s-%s-x%04d", kubeApp(app), hash, i),
			GenerateName: kubeApp(app) + "-" + hash + "-",
			Labels: map[string]string{
				"app": kubeApp(app), "app.kubernetes.io/name": kubeApp(app), "app.kubernetes.io/part-of": "shop",
				"tier": "backend", "track": "stable", "pod-template-hash": hash,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: kubeApp(app) + "-" + hash, UID: "u", Controller: &controller,
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprint("node-", i%kubeNodes), ServiceAccountName: kubeApp(app),
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.example.com/shop/" + kubeApp(app) + ":v1",
				Env: []corev1.EnvVar{{Name: "A", Value: "a"}, {Name: "B", Value: "b"}},
			}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &now, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
			},
		},
	}
}

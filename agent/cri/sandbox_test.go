package cri

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// ready is the status of a pod's sandbox as a kubelet has it made.
func ready(uid, name string, addrs ...string) *runtime.PodSandboxStatus {
	s := &runtime.PodSandboxStatus{
		Id: "id-" + uid, Metadata: &runtime.PodSandboxMetadata{Name: name, Namespace: "shop", Uid: uid},
		CreatedAt: 10, Network: &runtime.PodSandboxNetworkStatus{},
		Labels: map[string]string{"app": name, "io.kubernetes.pod.name": name},
	}
	for i, a := range addrs {
		if i == 0 {
			s.Network.Ip = a
			continue
		}
		s.Network.AdditionalIps = append(s.Network.AdditionalIps, &runtime.PodIP{Ip: a})
	}
	return s
}

func TestConvert(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*runtime.PodSandboxStatus)
		want   string
	}{
		"a pod": {func(s *runtime.PodSandboxStatus) {}, "uid-1: shop/web [k8s:app=web] at [10.1.0.2 fd00::2] since 10"},
		"of the node's network": {func(s *runtime.PodSandboxStatus) {
			s.Linux = &runtime.LinuxPodSandboxStatus{Namespaces: &runtime.Namespace{
				Options: &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE}}}
		}, "nothing"},
		"of a network of its own": {func(s *runtime.PodSandboxStatus) {
			s.Linux = &runtime.LinuxPodSandboxStatus{Namespaces: &runtime.Namespace{Options: &runtime.NamespaceOption{}}}
		}, "uid-1: shop/web [k8s:app=web] at [10.1.0.2 fd00::2] since 10"},
		"static": {func(s *runtime.PodSandboxStatus) { s.Annotations = map[string]string{sourceAnnotation: "file"} }, "nothing"},
		"of the API": {func(s *runtime.PodSandboxStatus) { s.Annotations = map[string]string{sourceAnnotation: "api"} },
			"uid-1: shop/web [k8s:app=web] at [10.1.0.2 fd00::2] since 10"},
		"without a name": {func(s *runtime.PodSandboxStatus) { s.Metadata = nil }, "nothing"},
		"without a uid":  {func(s *runtime.PodSandboxStatus) { s.Metadata.Uid = "" }, "id-uid-1: shop/web [k8s:app=web] at [10.1.0.2 fd00::2] since 10"},
		"without a network": {func(s *runtime.PodSandboxStatus) { s.Network = nil },
			"uid-1: shop/web [k8s:app=web] at [] since 10"},
		"addresses that are none": {func(s *runtime.PodSandboxStatus) {
			s.Network = ready("", "", "", "10.1.0.2/24", "fe80::1", "::", "127.0.0.1", "ff02::1", "fd00::2%eth0", "::ffff:10.1.0.3", "10.1.0.3").Network
		}, "uid-1: shop/web [k8s:app=web] at [10.1.0.3] since 10"},
		"labels that it cannot have": {func(s *runtime.PodSandboxStatus) {
			s.Labels = map[string]string{"io.cilium.k8s.policy.cluster": "other", "io.kubernetes.pod.namespace": "other"}
		}, "uid-1: shop/web [] at [10.1.0.2 fd00::2] since 10"},
		"made before there were clocks": {func(s *runtime.PodSandboxStatus) { s.CreatedAt = -1 },
			"uid-1: shop/web [k8s:app=web] at [10.1.0.2 fd00::2] since 0"},
	} {
		s := ready("uid-1", "web", "10.1.0.2", "fd00::2")
		tt.change(s)
		if got := describe(convert(s, "prod")); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// describe tells what is kept, without the labels that all pods have.
func describe(b *sandbox) string {
	if b == nil {
		return "nothing"
	}
	e := b.binding.Endpoint
	own := slices.DeleteFunc(slices.Clone(e.Labels), func(l string) bool { return strings.HasPrefix(l, "k8s:io.") })
	return fmt.Sprintf("%s: %s %v at %v since %d", b.key, e.String(), own, b.binding.Addresses, b.created)
}

// FuzzSandbox has the table told of whatever a runtime may say.
func FuzzSandbox(f *testing.F) {
	for _, s := range []*runtime.PodSandboxStatus{ready("uid-1", "web", "10.1.0.2", "fd00::2"), {}} {
		b, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s runtime.PodSandboxStatus
		if proto.Unmarshal(b, &s) != nil {
			return
		}
		kept := convert(&s, "prod")
		if kept == nil {
			return
		}
		e := kept.binding.Endpoint
		if kept.created < 0 || e.Pod == "" || !slices.IsSorted(e.Labels) {
			t.Errorf("kept %+v", kept)
		}
		for _, l := range e.Labels {
			if strings.HasPrefix(l, "k8s:"+ciliumPart) && l != "k8s:io.cilium.k8s.policy.cluster=prod" {
				t.Errorf("a pod gave itself %s", l)
			}
		}
		table := endpoint.NewTable("prod")
		table.Suggest(kept.key, kept.binding, kept.created)
		for i, a := range kept.binding.Addresses {
			if !a.IsGlobalUnicast() || a != a.Unmap() || a.Zone() != "" || slices.Contains(kept.binding.Addresses[:i], a) {
				t.Errorf("address %v of %v", a, kept.binding.Addresses)
			}
			if got := table.At(table.Remote(a, kept.created)); got.Pod != e.Pod {
				t.Errorf("%v is %v", a, got)
			}
		}
		table.Withdraw(kept.key, kept.created)
		for _, a := range kept.binding.Addresses {
			if got := table.Remote(a, kept.created); got != endpoint.World {
				t.Errorf("%v is still %v", a, table.At(got))
			}
		}
	})
}

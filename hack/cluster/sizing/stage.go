package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/fovea-obs/fovea/hack/cluster"
	"github.com/fovea-obs/fovea/hack/stock"
)

const (
	// namespace is the chart's.
	namespace = "kube-system"
	// workloadImage is what pods that make connections run.
	workloadImage = "fovea.test/workload:1"
	// otherPods do nothing, as most pods at most times.
	otherPods = 20
	// stageTimeout is how long it may take to install, or to begin anew.
	stageTimeout = 3 * time.Minute
)

// stage is a cluster with the chart installed, and a pod that answers.
type stage struct {
	*cluster.Cluster
	// server is the process that answers, in the pod of that address.
	server  int
	address string
}

// newStage starts a cluster and all that is on it. The caller must close it.
func newStage(ctx context.Context) (s *stage, err error) {
	c, err := cluster.Start(ctx, cluster.Config{})
	if err != nil {
		return nil, err
	}
	s = &stage{Cluster: c}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

func (s *stage) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "fovea-sizing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := s.tuneNodes(); err != nil {
		return err
	}
	if err := s.loadImages(ctx, dir); err != nil {
		return err
	}
	if err := s.install(ctx, dir); err != nil {
		return err
	}
	return s.startPods(ctx)
}

// tuneNodes has nodes forget connections that are over as soon as who has so many of
// them does: the kernel's own table of connections has a bound for the whole machine.
func (s *stage) tuneNodes() error {
	var errs []error
	for _, n := range s.Nodes() {
		for name, seconds := range map[string]string{
			"udp_timeout": "2", "udp_timeout_stream": "2", "tcp_timeout_time_wait": "2", "tcp_timeout_last_ack": "2",
		} {
			errs = append(errs, n.NS.Sysctl("net/netfilter/nf_conntrack_"+name, seconds))
		}
	}
	return errors.Join(errs...)
}

// loadImages brings the images to the nodes that their registries are not asked for.
func (s *stage) loadImages(ctx context.Context, dir string) error {
	chart, err := chartDir()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return fmt.Errorf("read the chart: %w", err)
	}
	var of struct{ AppVersion string }
	if err := yaml.Unmarshal(text, &of); err != nil {
		return fmt.Errorf("read the chart: %w", err)
	}
	for _, image := range []struct{ name, program, path string }{
		{"ghcr.io/fovea-obs/fovea:" + of.AppVersion, "fovea", "."},
		{workloadImage, "workload", "hack/cluster/workload"},
	} {
		program := filepath.Join(dir, image.program)
		if err := cluster.Build(ctx, program, image.path); err != nil {
			return err
		}
		if err := s.LoadImage(ctx, image.name, program); err != nil {
			return err
		}
	}
	return nil
}

func chartDir() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("find the chart: built without paths")
	}
	return filepath.Join(filepath.Dir(file), "../../../charts/fovea"), nil
}

// install installs the chart with its default values, without Hubble UI.
func (s *stage) install(ctx context.Context, dir string) error {
	helm, err := stock.Helm(ctx)
	if err != nil {
		return err
	}
	chart, err := chartDir()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, helm, "install", "fovea", chart, "--namespace", namespace, "--wait", "--set", "ui.enabled=false")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(), "HOME="+dir,
		"XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_DATA_HOME="+dir)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.Control().NS.Run(cmd); err != nil {
		return fmt.Errorf("install the chart: %w: %s", errors.Join(err, context.Cause(ctx)), out.String())
	}
	return nil
}

// renewAgents replaces the agents, whose history is empty then.
func (s *stage) renewAgents(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	for _, args := range [][]string{
		{"rollout", "restart", "daemonset/fovea"},
		{"rollout", "status", "daemonset/fovea"},
		// Those that end are away when they are.
		{"wait", "--for=jsonpath={.status.phase}=Running", "pod", "--selector", "k8s-app=fovea"},
	} {
		if _, err := s.Kubectl(ctx, append([]string{"--namespace", namespace}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// startPods starts those that do nothing, and on the second node the one that answers.
func (s *stage) startPods(ctx context.Context) error {
	server := s.Nodes()[1]
	if err := s.Apply(ctx, podsNamespace+fmt.Sprintf(idlePods, otherPods, workloadImage)+
		fmt.Sprintf(onePod, "answer", server.Name, workloadImage, `["answer"]`)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"rollout", "status", "deployment/idle"},
		{"wait", "--for=condition=Ready", "pod/answer"},
	} {
		if _, err := s.Kubectl(ctx, append([]string{"--namespace", "sizing"}, args...)...); err != nil {
			return err
		}
	}
	text, err := s.Kubectl(ctx, "--namespace", "sizing", "get", "pod", "answer", "--output", "json")
	if err != nil {
		return err
	}
	var pod struct{ Status struct{ PodIP string } }
	if err := json.Unmarshal([]byte(text), &pod); err != nil {
		return fmt.Errorf("read the address of a pod: %w", err)
	}
	s.address = pod.Status.PodIP
	s.server, err = findProcess(cgroupOf(s.Cluster, server), "workload", "answer")
	return err
}

// cgroupOf is a part of the names of control groups that only those of a node have.
func cgroupOf(c *cluster.Cluster, n *cluster.Node) string {
	return "/" + filepath.Base(c.Dir()) + "/" + n.Name + "/"
}

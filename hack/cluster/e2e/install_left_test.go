//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	agents "github.com/fovea-obs/fovea/hack/process"
)

// holdings are what an installation could leave: on the nodes and in the API.
type holdings struct {
	// Links and Qdiscs are of each node's network, by its name.
	Links, Qdiscs map[string][]string
	// Files are those of the nodes whose names speak of us.
	Files []string
	// Objects are the API's, but for those that come and go by themselves.
	Objects []string
}

func (i *installTest) look(ctx context.Context, t *testing.T) holdings {
	t.Helper()
	h := holdings{Links: map[string][]string{}, Qdiscs: map[string][]string{}}
	for _, n := range i.Nodes() {
		handle, err := n.NS.Netlink()
		check(t, err)
		defer handle.Close()
		links, err := handle.LinkList()
		check(t, err)
		for _, l := range links {
			h.Links[n.Name] = append(h.Links[n.Name], l.Attrs().Name)
			qdiscs, err := handle.QdiscList(l)
			check(t, err)
			for _, q := range qdiscs {
				h.Qdiscs[n.Name] = append(h.Qdiscs[n.Name], fmt.Sprintf("%s %s %s", l.Attrs().Name, q.Type(), netlink.HandleStr(q.Attrs().Handle)))
			}
		}
		slices.Sort(h.Links[n.Name])
		slices.Sort(h.Qdiscs[n.Name])
		h.Files = append(h.Files, ourFiles(t, n.Dir("/run"), n.Dir("/var/lib"), n.Dir("/var/log"))...)
	}
	h.Objects = i.objects(ctx, t)
	return h
}

// ourFiles are those below directories whose names speak of us or of what Hubble
// calls itself. Images and logs stay for a while, as those of all pods do: they are
// containerd's and the kubelet's.
func ourFiles(t *testing.T, dirs ...string) (found []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // it went meanwhile
				return nil
			case err != nil:
				return err
			case e.IsDir() && (path == filepath.Join(dir, "containerd") || path == filepath.Join(dir, "pods")):
				return fs.SkipDir
			case strings.Contains(e.Name(), "fovea") || strings.Contains(e.Name(), "hubble"):
				found = append(found, path)
			}
			return nil
		})
		check(t, err)
	}
	return found
}

// objects are the names of all objects in the API, but for those that come and go by
// themselves.
func (i *installTest) objects(ctx context.Context, t *testing.T) []string {
	t.Helper()
	kinds, err := i.Kubectl(ctx, "api-resources", "--verbs=list", "--output=name")
	check(t, err)
	var list []string
	for _, kind := range strings.Fields(kinds) {
		if name, _, _ := strings.Cut(kind, "."); name != "events" && name != "leases" {
			list = append(list, kind)
		}
	}
	text, err := i.Kubectl(ctx, "get", strings.Join(list, ","), "--all-namespaces", "--output",
		`go-template={{range .items}}{{.kind}} {{.metadata.namespace}}/{{.metadata.name}}{{"\n"}}{{end}}`)
	check(t, err)
	return slices.Sorted(maps.Keys(set(strings.Split(strings.TrimSpace(text), "\n"))))
}

func set(list []string) map[string]bool {
	s := map[string]bool{}
	for _, e := range list {
		s[e] = true
	}
	return s
}

// ourProcesses are those that run.
func ourProcesses(t *testing.T) (running []process) {
	t.Helper()
	for _, p := range descendants(t, os.Getpid()) {
		if p.name == "fovea" {
			running = append(running, p)
		}
	}
	return running
}

// nothingLeft waits until all is as it was before the installation.
func (i *installTest) nothingLeft(ctx context.Context, t *testing.T, before holdings, held []agents.Objects) {
	t.Helper()
	eventually(ctx, t, func() error {
		if left := ourProcesses(t); len(left) > 0 {
			return fmt.Errorf("processes %v are left", left)
		}
		if diff := cmp.Diff(before, i.look(ctx, t)); diff != "" {
			return fmt.Errorf("before - and after +\n%s", diff)
		}
		return nil
	})
	for _, h := range held {
		check(t, h.AwaitGone(ctx))
	}
}

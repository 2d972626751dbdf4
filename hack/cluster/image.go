package cluster

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Names of images that every node has. They come from no registry: pods say
// imagePullPolicy Never.
const (
	pauseImage   = "fovea.test/pause:1"
	coreDNSImage = "fovea.test/coredns:1"
)

// LoadImage makes an image of static programs, which lie in its root and of
// which it runs the first, and loads it into every node. Pods say
// imagePullPolicy Never.
func (c *Cluster) LoadImage(ctx context.Context, name string, files ...string) error {
	path, err := c.makeImage(name, files...)
	if err != nil {
		return err
	}
	return errors.Join(c.LoadArchive(ctx, path), os.Remove(path))
}

// LoadArchive loads the images in an archive, as docker and buildah write them, into
// every node.
func (c *Cluster) LoadArchive(ctx context.Context, path string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		group.Go(func() error { return n.importImage(ctx, path) })
	}
	return group.Wait()
}

// makeImage returns the path of an archive with the image.
func (c *Cluster) makeImage(name string, files ...string) (path string, err error) {
	c.mu.Lock()
	c.images++
	path = c.state.path(fmt.Sprintf("image-%d.tar", c.images))
	c.mu.Unlock()
	out, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("make image %s: %w", name, err)
	}
	if err := errors.Join(writeImage(out, path+".layer", name, files), out.Close()); err != nil {
		return "", fmt.Errorf("make image %s: %w", name, err)
	}
	return path, nil
}

// writeImage writes an archive as "docker save" does. The layer is first
// written to a file of its own, as its digest goes before it.
func writeImage(w io.Writer, layer, name string, files []string) error {
	digest, err := writeLayer(layer, files)
	if err != nil {
		return err
	}
	defer os.Remove(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + filepath.Base(files[0])}, "Env": []string{"PATH=/"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		text []byte
	}{{"manifest.json", manifest}, {"config.json", config}} {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			return err
		}
		if _, err := t.Write(f.text); err != nil {
			return err
		}
	}
	if err := addFile(t, "layer.tar", layer); err != nil {
		return err
	}
	return t.Close()
}

// writeLayer writes the files of an image and returns their digest.
func writeLayer(path string, files []string) (digest string, err error) {
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer out.Close()
	hash := sha256.New()
	t := tar.NewWriter(io.MultiWriter(out, hash))
	for _, f := range files {
		if err := addFile(t, filepath.Base(f), f); err != nil {
			return "", err
		}
	}
	// The end is part of the digest.
	if err := errors.Join(t.Close(), out.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// addFile adds a program. Its time is always the same, and so is the digest.
func addFile(t *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// importImage loads an archive into the node's containerd.
func (n *Node) importImage(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address", n.Runtime(), "--namespace", "k8s.io", "images", "import", path)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load an image into %s: %w: %s", n.Name, errors.Join(err, context.Cause(ctx)), text)
	}
	return nil
}

// baseImages makes what pods and the DNS need.
func (c *Cluster) baseImages(ctx context.Context) ([]string, error) {
	program := c.state.path("pause")
	if err := Build(ctx, program, "hack/cluster/pause"); err != nil {
		return nil, err
	}
	pause, err := c.makeImage(pauseImage, program)
	if err != nil {
		return nil, err
	}
	dns, err := c.makeImage(coreDNSImage, filepath.Join(c.programs, "coredns"))
	return []string{pause, dns}, err
}

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// builder is what puts images together here.
func builder() (func(job, context.Context) error, error) {
	if _, err := exec.LookPath("buildah"); err == nil {
		return job.buildah, nil
	}
	if _, err := exec.LookPath("docker"); err == nil {
		return job.docker, nil
	}
	return nil, errors.New("find what puts it together: neither buildah nor docker is installed")
}

// arguments are what the Containerfile wants to know, and which.
func (j job) arguments() []string {
	platforms := make([]string, len(j.Architectures))
	for i, arch := range j.Architectures {
		platforms[i] = "linux/" + arch
	}
	return []string{
		"--file", filepath.Join(j.source(), "Containerfile"), "--platform", strings.Join(platforms, ","),
		"--build-arg", "VERSION=" + j.version, "--build-arg", "REVISION=" + j.commit,
		"--build-arg", "CREATED=" + j.created.UTC().Format(time.RFC3339),
	}
}

// buildah needs no daemon and, as nothing is run, no namespaces: root in a container will do.
func (j job) buildah(ctx context.Context) error {
	reference := j.Reference()
	tag, push := []string{"--tag", reference}, []string{"push", reference, "docker-archive:" + j.out + ":" + reference}
	if len(j.Architectures) > 1 {
		tag, push = []string{"--manifest", reference}, []string{"manifest", "push", "--all", reference, "oci-archive:" + j.out + ":" + reference}
	}
	build := append([]string{
		"build", "--isolation", "chroot", "--identity-label=false", "--timestamp", strconv.FormatInt(j.created.Unix(), 10),
	}, tag...)
	build = append(append(build, j.arguments()...), j.context())
	for _, args := range [][]string{build, push} {
		store := []string{"--root", filepath.Join(j.dir, "store"), "--runroot", filepath.Join(j.dir, "run"), "--storage-driver", "vfs"}
		if err := j.run(ctx, "buildah", append(store, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// docker needs, for several architectures, a builder that can write them: one that docker
// buildx create makes, or a daemon that keeps its images in containerd.
func (j job) docker(ctx context.Context) error {
	kind := "docker"
	if len(j.Architectures) > 1 {
		kind = "oci"
	}
	args := append([]string{
		"buildx", "build", "--provenance=false", "--build-arg", "SOURCE_DATE_EPOCH=" + strconv.FormatInt(j.created.Unix(), 10),
		"--output", "type=" + kind + ",rewrite-timestamp=true,name=" + j.Reference() + ",dest=" + j.out,
	}, j.arguments()...)
	return j.run(ctx, "docker", append(args, j.context())...)
}

// run runs a tool, whose own files go with the job.
func (j job) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+j.dir, "XDG_DATA_HOME="+filepath.Join(j.dir, "data"))
	if os.Geteuid() == 0 {
		// As root buildah keeps a cache in /var/lib, wherever its store is. As the root of a
		// user's namespace, which this says, it keeps that with the user's data.
		cmd.Env = append(cmd.Env, "_CONTAINERS_ROOTLESS_UID=1")
	}
	cmd.Stdout, cmd.Stderr = j.Log, j.Log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	return nil
}

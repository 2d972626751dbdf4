package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
)

// source is the directory of the job's copy of the project.
func (j *job) source() string { return filepath.Join(j.dir, "source") }

// copySource makes a clone of the project, with what was changed in it. It is a whole one also
// where the project is a work tree of git beside others, in which go finds no commit.
func (j *job) copySource(ctx context.Context) error {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return errors.New("find the project: built without paths")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := git(ctx, nil, "clone", "--quiet", "--shared", root, j.source()); err != nil {
		return err
	}
	changes, err := git(ctx, nil, "-C", root, "diff-index", "--binary", "--patch",
		"--no-ext-diff", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "HEAD")
	if err != nil || len(changes) == 0 {
		return err
	}
	_, err = git(ctx, changes, "-C", j.source(), "apply")
	return err
}

// git runs git and returns what it prints.
func git(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("copy the project by git %s: %w: %s", args[len(args)-1], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.Bytes(), nil
}

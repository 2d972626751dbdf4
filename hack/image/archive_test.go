//go:build e2e

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// descriptor is how one part of an image refers to another.
type descriptor struct {
	Digest      string
	Platform    struct{ OS, Architecture string }
	Annotations map[string]string
}

// manifest is an image's, and has what a list of images has too.
type manifest struct {
	Manifests []descriptor
	Config    descriptor
	Layers    []descriptor
}

// settings are an image's, of those that matter here.
type settings struct {
	OS, Architecture, Created string
	Config                    struct {
		User       string
		Entrypoint []string
		Cmd        []string
		Labels     map[string]string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	}
}

// oneImage is an archive's list of its single image, as docker save writes it.
type oneImage []struct {
	Config           string
	RepoTags, Layers []string
}

// file is one of an archive.
type file struct {
	header *tar.Header
	data   []byte
}

// files are all of an archive, by name, but for directories.
type files map[string]file

func open(t *testing.T, path string) files {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	return unpack(t, bytes.NewReader(data))
}

func unpack(t *testing.T, r io.Reader) files {
	t.Helper()
	all := files{}
	for r := tar.NewReader(r); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		check(t, err)
		if h.Typeflag == tar.TypeDir {
			continue
		}
		data, err := io.ReadAll(r)
		check(t, err)
		all[h.Name] = file{h, data}
	}
}

// read decodes a file of JSON.
func read[T any](t *testing.T, f files, name string) (v T) {
	t.Helper()
	if _, ok := f[name]; !ok {
		t.Fatalf("the archive has no %s", name)
	}
	check(t, json.Unmarshal(f[name].data, &v))
	return v
}

// blob is the name of what a digest stands for.
func blob(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// layer unpacks one that is compressed.
func (f files) layer(t *testing.T, name string) files {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(f[name].data))
	check(t, err)
	return unpack(t, r)
}

// check ends the test if err is set.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

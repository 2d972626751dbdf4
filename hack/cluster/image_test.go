package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// entries reads all files of an archive.
func entries(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		check(t, err)
		files[h.Name], err = io.ReadAll(r)
		check(t, err)
	}
}

func TestWriteImage(t *testing.T) {
	dir := t.TempDir()
	program, data := filepath.Join(dir, "program"), filepath.Join(dir, "data")
	check(t, os.WriteFile(program, []byte("run me"), 0o755))
	check(t, os.WriteFile(data, []byte("read me"), 0o644))
	var archive bytes.Buffer
	check(t, writeImage(&archive, filepath.Join(dir, "layer"), "fovea.test/image:1", []string{program, data}))

	files := entries(t, archive.Bytes())
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	check(t, json.Unmarshal(files["manifest.json"], &manifest))
	if len(manifest) != 1 || len(manifest[0].Layers) != 1 || manifest[0].RepoTags[0] != "fovea.test/image:1" {
		t.Fatalf("manifest %s", files["manifest.json"])
	}
	var config struct {
		Config struct{ Entrypoint []string }
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	check(t, json.Unmarshal(files[manifest[0].Config], &config))
	layer := files[manifest[0].Layers[0]]
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); len(config.RootFS.DiffIDs) != 1 || config.RootFS.DiffIDs[0] != want {
		t.Errorf("layers %q, want %s", config.RootFS.DiffIDs, want)
	}
	if e := config.Config.Entrypoint; len(e) != 1 || e[0] != "/program" {
		t.Errorf("entrypoint %q", e)
	}
	if in := entries(t, layer); string(in["program"]) != "run me" || string(in["data"]) != "read me" {
		t.Errorf("layer of %q", in)
	}
	if _, err := os.Stat(filepath.Join(dir, "layer")); err == nil {
		t.Error("the layer's file is left")
	}
}

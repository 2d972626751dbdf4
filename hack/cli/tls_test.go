package cli

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fovea-obs/fovea/hack/pki"
)

// keys are the certificates of the far node's agent and of its clients.
type keys struct {
	// dir has the agent's: ..data is a link to the directory with the newest, as
	// in a volume of Kubernetes.
	dir         string
	authorities map[string]*pki.Authority
	// files are the paths of what clients have, by the names that scripts have for
	// them.
	files map[string]string
}

// The agent's files.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
	caFile   = "ca.crt"
)

// newKeys makes two authorities, a client of each, and a server of the first.
func newKeys(t *testing.T, server string) *keys {
	t.Helper()
	k := &keys{t.TempDir(), map[string]*pki.Authority{}, map[string]string{}}
	dir := t.TempDir()
	for _, name := range []string{"our", "other"} {
		a, err := pki.NewAuthority(name)
		check(t, err)
		k.authorities[name] = a
		id, err := a.Issue(pki.Request{})
		check(t, err)
		for file, content := range map[string][]byte{"CA": a.PEM, "Cert": id.Cert, "Key": id.Key} {
			path := filepath.Join(dir, name+file)
			check(t, os.WriteFile(path, content, 0o600))
			k.files[name+file] = path
		}
	}
	k.put(t, k.server(t, server, "our"))
	for _, name := range []string{certFile, keyFile, caFile} {
		check(t, os.Symlink(filepath.Join("..data", name), filepath.Join(k.dir, name)))
	}
	return k
}

// args are the agent's options.
func (k *keys) args() []string {
	return []string{
		"--tls-cert-file", filepath.Join(k.dir, certFile), "--tls-key-file", filepath.Join(k.dir, keyFile),
		"--tls-client-ca-files", filepath.Join(k.dir, caFile),
	}
}

// server returns the agent's files if an authority has made them.
func (k *keys) server(t *testing.T, name, authority string) map[string][]byte {
	t.Helper()
	a := k.authorities[authority]
	if a == nil {
		t.Fatalf("no authority %s, but %q", authority, slices.Sorted(maps.Keys(k.authorities)))
	}
	id, err := a.Issue(pki.Request{Names: []string{name}})
	check(t, err)
	return map[string][]byte{certFile: id.Cert, keyFile: id.Key, caFile: a.PEM}
}

// put gives the agent these files.
func (k *keys) put(t *testing.T, files map[string][]byte) {
	t.Helper()
	next, err := os.MkdirTemp(k.dir, "..")
	check(t, err)
	for name, content := range files {
		check(t, os.WriteFile(filepath.Join(next, name), content, 0o600))
	}
	link := filepath.Join(k.dir, "..data")
	check(t, os.Symlink(filepath.Base(next), link+"_tmp"))
	check(t, os.Rename(link+"_tmp", link))
}

// renew gives the far node's agent a certificate of another authority, to which
// its clients belong from then on, or with half, half of that. It returns what
// the agent logs.
func (s *script) renew(t *testing.T, args []string) string {
	t.Helper()
	files := s.keys.server(t, farServer, args[0])
	if slices.Contains(args, "half") {
		files[certFile] = files[certFile][:len(files[certFile])/2]
	}
	s.keys.put(t, files)
	line, err := s.agents[s.far.Name].logged(testContext(t), "Certificates")
	check(t, err)
	return normal(line)
}

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fovea-obs/fovea/internal/files"
)

// File is where something is, and what says so.
type File struct {
	// Option is the name of the setting that gives the path.
	Option string
	Path   string
}

// Config says which files there are. Now and Log are needed.
type Config struct {
	// Certificate and Key are what this side shows, in PEM, behind the
	// certificate those that lead from it to its authority. A server needs both,
	// and a client may have neither.
	Certificate, Key File
	// Authorities are files of certificates, in PEM. The other side must show a
	// certificate that leads to one of all these.
	Authorities []File
	// Now is the time.
	Now func() time.Time
	Log *slog.Logger
}

// Store has the newest certificates that the files had. Its methods are safe for
// concurrent use, apart from Watch.
type Store struct {
	c       Config
	current atomic.Pointer[material]
	// failed is what was wrong when the files were read last, for Watch alone.
	failed string
}

// material is what was read from all files at a time.
type material struct {
	// certificate is nil if there is none to show, authorities if the other side
	// need show none, or as the system has them.
	certificate *tls.Certificate
	authorities *x509.CertPool
	// told is set once it was logged that the certificate is not valid.
	told atomic.Bool
}

// Load reads the files. It fails with a [config.Error] for the first that cannot
// be used.
func Load(c Config) (*Store, error) {
	s := &Store{c: c}
	m, err := s.read()
	if err != nil {
		return nil, err
	}
	s.use(m)
	return s, nil
}

// Watch reads the files again whenever they change, until ctx ends. It fails only
// if the system allows no watch at all. What is wrong with a file is logged once.
func (s *Store) Watch(ctx context.Context) error {
	var paths []string
	for _, f := range append(slices.Clone(s.c.Authorities), s.c.Certificate, s.c.Key) {
		if f.Path != "" {
			paths = append(paths, f.Path)
		}
	}
	return files.Watch(ctx, paths, s.c.Log, s.reload)
}

func (s *Store) reload() {
	m, err := s.read()
	if err != nil {
		if s.failed != err.Error() {
			s.c.Log.Error("Certificates cannot be used, the former ones stay", "error", err)
		}
		s.failed = err.Error()
		return
	}
	recovered := s.failed != ""
	s.failed = ""
	if recovered || !m.equal(s.current.Load()) {
		s.use(m)
	}
}

// use has m shown from now on.
func (s *Store) use(m *material) {
	s.current.Store(m)
	var args []any
	if m.certificate != nil {
		args = append(args, "certificate", s.c.Certificate.Path, "expires", m.certificate.Leaf.NotAfter)
	}
	s.c.Log.Info("Certificates read", append(args, "authorities", len(s.c.Authorities))...)
	s.newest()
}

// newest returns what a handshake is made with, and logs if its certificate is not
// valid now.
func (s *Store) newest() *material {
	m := s.current.Load()
	if m.certificate == nil {
		return m
	}
	leaf, now := m.certificate.Leaf, s.c.Now()
	if (now.After(leaf.NotAfter) || now.Before(leaf.NotBefore)) && m.told.CompareAndSwap(false, true) {
		s.c.Log.Error("The certificate is not valid now, others will refuse it",
			"certificate", s.c.Certificate.Path, "from", leaf.NotBefore, "until", leaf.NotAfter)
	}
	return m
}

// equal tells whether both are the same certificates.
func (m *material) equal(o *material) bool {
	if (m.certificate == nil) != (o.certificate == nil) || !m.authorities.Equal(o.authorities) {
		return false
	}
	return m.certificate == nil || slices.EqualFunc(m.certificate.Certificate, o.certificate.Certificate, slices.Equal)
}

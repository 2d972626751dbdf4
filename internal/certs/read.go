package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fovea-obs/fovea/internal/config"
)

// certificateBlock is the type of a certificate's block in PEM.
const certificateBlock = "CERTIFICATE"

// read reads all files, and returns a [config.Error] if one of them is of no use.
func (s *Store) read() (*material, error) {
	m := &material{}
	if s.c.Certificate.Path != "" {
		pair, err := readPair(s.c.Certificate, s.c.Key)
		if err != nil {
			return nil, err
		}
		m.certificate = &pair
	}
	if len(s.c.Authorities) > 0 {
		m.authorities = x509.NewCertPool()
	}
	for _, f := range s.c.Authorities {
		_, all, err := readCertificates(f)
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			m.authorities.AddCert(c)
		}
	}
	return m, nil
}

func readPair(certificate, key File) (tls.Certificate, error) {
	chain, _, err := readCertificates(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret, err := readFile(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return tls.Certificate{}, wrong(key, "the key of "+certificate.Path+" in PEM: "+err.Error())
	}
	return pair, nil
}

// readCertificates returns the content of a file, and the certificates in it.
func readCertificates(f File) (text []byte, all []*x509.Certificate, err error) {
	text, err = readFile(f)
	if err != nil {
		return nil, nil, err
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != certificateBlock {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, wrong(f, fmt.Sprintf("certificates in PEM: number %d is not one: %v", len(all)+1, err))
		}
		all = append(all, c)
	}
	// A block that was cut is passed over in silence.
	begun := bytes.Count(text, []byte("-----BEGIN "+certificateBlock+"-----"))
	switch {
	case begun == 0:
		return nil, nil, wrong(f, "certificates in PEM: there is none")
	case begun > len(all):
		return nil, nil, wrong(f, fmt.Sprintf("certificates in PEM: %d of %d are whole", len(all), begun))
	}
	return text, all, nil
}

func readFile(f File) ([]byte, error) {
	text, err := os.ReadFile(f.Path)
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = pathErr.Err // the path is told as the value
	}
	if err != nil {
		return nil, wrong(f, "a file that can be read: "+err.Error())
	}
	return text, nil
}

func wrong(f File, want string) error {
	return &config.Error{Name: f.Option, Value: f.Path, Want: want}
}

package certs

import (
	"crypto/tls"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fovea-obs/fovea/hack/pki"
	"github.com/fovea-obs/fovea/internal/config"
)

// TestLoadFails has one file at a time that is of no use.
func TestLoadFails(t *testing.T) {
	authority := newAuthority(t)
	id, other := forServer(t, authority), forServer(t, authority)
	half := func(b []byte) []byte { return b[:len(b)/2] }
	broken := []byte("-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n")
	for name, tt := range map[string]struct {
		file    string
		content []byte // nil for no file
		want    string
	}{
		"no certificate":          {"tls.crt", nil, `tls-cert-file: "DIR/tls.crt", want a file that can be read: no such file or directory`},
		"an empty certificate":    {"tls.crt", []byte{}, `tls-cert-file: "DIR/tls.crt", want certificates in PEM: there is none`},
		"no PEM":                  {"tls.crt", []byte("certificate"), `tls-cert-file: "DIR/tls.crt", want certificates in PEM: there is none`},
		"a key as certificate":    {"tls.crt", id.Key, `tls-cert-file: "DIR/tls.crt", want certificates in PEM: there is none`},
		"half a certificate":      {"tls.crt", half(id.Cert), `tls-cert-file: "DIR/tls.crt", want certificates in PEM: 0 of 1 are whole`},
		"half a chain":            {"tls.crt", append(id.Cert, half(authority.PEM)...), `tls-cert-file: "DIR/tls.crt", want certificates in PEM: 1 of 2 are whole`},
		"a broken certificate":    {"tls.crt", broken, `tls-cert-file: "DIR/tls.crt", want certificates in PEM: number 1 is not one: x509: `},
		"another's certificate":   {"tls.crt", other.Cert, `tls-key-file: "DIR/tls.key", want the key of DIR/tls.crt in PEM: tls: private key does not match public key`},
		"no key":                  {"tls.key", nil, `tls-key-file: "DIR/tls.key", want a file that can be read: no such file or directory`},
		"half a key":              {"tls.key", half(id.Key), `tls-key-file: "DIR/tls.key", want the key of DIR/tls.crt in PEM: tls: failed to find any PEM data`},
		"another key":             {"tls.key", other.Key, `tls-key-file: "DIR/tls.key", want the key of DIR/tls.crt in PEM: tls: private key does not match public key`},
		"no authority":            {"ca.crt", nil, `tls-client-ca-files: "DIR/ca.crt", want a file that can be read: no such file or directory`},
		"an empty authority":      {"ca.crt", []byte{}, `tls-client-ca-files: "DIR/ca.crt", want certificates in PEM: there is none`},
		"a key as authority":      {"ca.crt", id.Key, `tls-client-ca-files: "DIR/ca.crt", want certificates in PEM: there is none`},
		"half a second authority": {"ca.crt", append(authority.PEM, half(authority.PEM)...), `tls-client-ca-files: "DIR/ca.crt", want certificates in PEM: 1 of 2 are whole`},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVolume(t, id, authority)
			path := filepath.Join(v.dir, "..data", tt.file)
			if tt.content == nil {
				check(t, os.Remove(path))
			} else {
				check(t, os.WriteFile(path, tt.content, 0o600))
			}
			_, err := Load(v.config(make(chan string, 100)))
			if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), v.dir, "DIR"), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if e := (*config.Error)(nil); !errors.As(err, &e) {
				t.Errorf("%T does not name the setting", err)
			}
		})
	}
}

// TestRenewed renews a server's certificate and then its authorities, while
// connections are open.
func TestRenewed(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	v := newVolume(t, forServer(t, first), first)
	store, logs := watched(t, v)
	server := serve(t, store.Server())
	client := func(of *pki.Authority) *Store {
		return load(t, newVolume(t, issue(t, of, pki.Request{}), of).config(make(chan string, 100)))
	}
	before, after := client(first).Client(serverName), client(second).Client(serverName)
	conn, info, err := server.dial(t, before)
	check(t, err)
	serial := shown(t, info).SerialNumber
	if _, _, err := server.dial(t, after); err == nil {
		t.Error("a client of the second authority was served before its time")
	}

	v.set(forServer(t, first), first)
	wait(t, logs, "Certificates read", v.path("tls.crt"))
	_, info, err = server.dial(t, before)
	check(t, err)
	if renewed := shown(t, info).SerialNumber; renewed.Cmp(serial) == 0 {
		t.Error("the former certificate was shown")
	}

	v.set(forServer(t, second), second)
	wait(t, logs, "Certificates read", v.path("tls.crt"))
	if _, _, err := server.dial(t, before); err == nil {
		t.Error("a client of the first authority was served after its time")
	}
	_, _, err = server.dial(t, after)
	check(t, err)
	if err := ask(conn); err != nil {
		t.Errorf("the connection of before: %v", err)
	}
}

// TestClientRenewed has a client whose certificate and authorities are renewed.
func TestClientRenewed(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	v := newVolume(t, issue(t, first, pki.Request{}), first)
	store, logs := watched(t, v)
	client := store.Client(serverName)
	for _, a := range []*pki.Authority{first, second} {
		if a == second {
			v.set(issue(t, second, pki.Request{}), second)
			wait(t, logs, "Certificates read")
		}
		server := serve(t, load(t, newVolume(t, forServer(t, a), a).config(make(chan string, 100))).Server())
		_, _, err := server.dial(t, client)
		check(t, err)
	}
}

// TestBroken puts files of no use in the place of good ones: what was read
// before is in use until all are good again.
func TestBroken(t *testing.T) {
	authority := newAuthority(t)
	id := forServer(t, authority)
	v := newVolume(t, id, authority)
	store, logs := watched(t, v)
	server := serve(t, store.Server())
	client := load(t, newVolume(t, issue(t, authority, pki.Request{}), authority).config(make(chan string, 100))).Client(serverName)
	serves := func(want pki.Identity) {
		t.Helper()
		_, info, err := server.dial(t, client)
		check(t, err)
		if got := shown(t, info).SerialNumber; got.Cmp(serialOf(t, want)) != 0 {
			t.Error("another certificate was shown")
		}
	}
	next := forServer(t, authority)
	whole := map[string][]byte{"tls.crt": next.Cert, "tls.key": next.Key, "ca.crt": authority.PEM}
	with := func(name string, content []byte) map[string][]byte {
		m := maps.Clone(whole)
		if m[name] = content; content == nil {
			delete(m, name)
		}
		return m
	}
	for _, step := range []struct {
		contents map[string][]byte
		words    []string
	}{
		{with("tls.crt", next.Cert[:100]), []string{"cannot be used", "tls-cert-file", "0 of 1 are whole"}},
		{with("tls.key", id.Key), []string{"cannot be used", "tls-key-file", "does not match"}},
		{with("tls.key", nil), []string{"cannot be used", "tls-key-file", "no such file"}},
		{with("ca.crt", nil), []string{"cannot be used", "tls-client-ca-files", "no such file"}},
		{with("ca.crt", []byte("nothing")), []string{"cannot be used", "tls-client-ca-files", "there is none"}},
	} {
		v.swap(step.contents)
		wait(t, logs, step.words...)
		serves(id)
	}
	v.swap(whole)
	wait(t, logs, "Certificates read")
	serves(next)

	// The same again is nothing new.
	v.swap(with("ca.crt", nil))
	wait(t, logs, "cannot be used")
	v.swap(whole)
	wait(t, logs, "Certificates read")
	v.swap(whole)
	v.swap(with("tls.key", id.Key))
	wait(t, logs, "cannot be used")
	serves(next)
}

func serialOf(t *testing.T, id pki.Identity) *big.Int {
	t.Helper()
	pair, err := tls.X509KeyPair(id.Cert, id.Key)
	check(t, err)
	return pair.Leaf.SerialNumber
}

// TestExpired lets time pass: a certificate that is not valid is shown, and
// logged once.
func TestExpired(t *testing.T) {
	authority := newAuthority(t)
	start := time.Now().Truncate(time.Second)
	v := newVolume(t, issue(t, authority, pki.Request{
		Names: []string{serverName}, From: start.Add(-time.Hour), Until: start.Add(time.Hour),
	}), authority)
	for name, passes := range map[string]time.Duration{"before": -2 * time.Hour, "after": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var now atomic.Int64
			logs := make(chan string, 100)
			c := v.config(logs)
			c.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
			store := load(t, c)
			wait(t, logs, "Certificates read", start.Add(time.Hour).UTC().Format("2006-01-02T15:04:05"))
			store.newest()
			now.Store(int64(passes))
			for range 3 {
				if store.newest().certificate == nil {
					t.Error("no certificate is shown")
				}
			}
			wait(t, logs, "not valid now", v.path("tls.crt"))
			if len(logs) > 0 {
				t.Errorf("logged again: %s", <-logs)
			}
			logs = make(chan string, 100)
			c.Log = v.config(logs).Log
			load(t, c)
			wait(t, logs, "Certificates read")
			wait(t, logs, "not valid now")
		})
	}
}

package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
)

// Server returns what a gRPC server serves TLS with. A client that shows no
// certificate of the authorities, if there are any, ends the handshake.
func (s *Store) Server() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c := s.config()
			if c.ClientCAs != nil {
				c.ClientAuth = tls.RequireAndVerifyClientCert
			}
			return c, nil
		},
	})
}

// Client returns what a gRPC client connects with to a server. The server's
// certificate must be valid for the name.
func (s *Store) Client(name string) credentials.TransportCredentials {
	return &client{s, name}
}

// config is that of one handshake, of either side.
func (s *Store) config() *tls.Config {
	m := s.newest()
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Time: s.c.Now,
		RootCAs: m.authorities, ClientCAs: m.authorities,
		// Whoever comes again shows a certificate again: one that is no longer
		// trusted is not let in on the strength of a former handshake.
		SessionTicketsDisabled: true,
	}
	if m.certificate != nil {
		c.Certificates = []tls.Certificate{*m.certificate}
	}
	return c
}

// client makes each handshake with the newest certificates.
type client struct {
	store *Store
	// name is the server's.
	name string
}

// ClientHandshake makes one.
func (c *client) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.newest().ClientHandshake(ctx, c.name, raw)
}

// ServerHandshake fails.
func (c *client) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("certs: a client's credentials serve nobody")
}

// Info tells the server's name.
func (c *client) Info() credentials.ProtocolInfo { return c.newest().Info() }

// Clone returns a copy.
func (c *client) Clone() credentials.TransportCredentials { return &client{c.store, c.name} }

// OverrideServerName gives the server another name.
func (c *client) OverrideServerName(name string) error {
	c.name = name
	return nil
}

func (c *client) newest() credentials.TransportCredentials {
	config := c.store.config()
	config.ServerName = c.name
	return credentials.NewTLS(config)
}

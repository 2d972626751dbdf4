package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/fovea-obs/fovea/hack/lab"
)

// shop is a small cluster: a client, a web server behind a service, and a
// database on another node that only the web server may ask.
type shop struct {
	node, other     *lab.Node
	client, web, db *lab.Pod
	service         netip.AddrPort
}

func newShop(l *lab.Lab) (*shop, error) {
	s := &shop{service: netip.MustParseAddrPort("10.96.0.50:80")}
	var err error
	if s.node, err = l.AddNode("node1"); err != nil {
		return nil, err
	}
	if s.other, err = l.AddNode("node2"); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		pod  **lab.Pod
		node *lab.Node
		name string
	}{
		{&s.client, s.node, "client"}, {&s.web, s.node, "web-5d8f-abcde"}, {&s.db, s.other, "db-0"},
	} {
		app, _, _ := strings.Cut(p.name, "-")
		*p.pod, err = p.node.AddPod(lab.PodSpec{
			Name: p.name, Namespace: "shop", Interface: "veth-" + app, Labels: map[string]string{"app": app},
		})
		if err != nil {
			return nil, err
		}
	}
	_, err = s.node.AddService(lab.Service{
		Name: "web", VIP: s.service, Backends: []netip.AddrPort{netip.AddrPortFrom(s.web.IPv4, 80)},
	})
	if err != nil {
		return nil, err
	}
	_, err = s.node.AddDrop(lab.Drop{
		Source: netip.PrefixFrom(s.client.IPv4, 32), Destination: netip.PrefixFrom(s.db.IPv4, 32),
	})
	return s, err
}

// endpoints is the endpoints file of the shop.
func (s *shop) endpoints() string {
	var b strings.Builder
	b.WriteString("nodes:\n")
	for _, n := range []*lab.Node{s.node, s.other} {
		fmt.Fprintf(&b, "  - {name: %s, addresses: [%s, %q]}\n", n.Name, n.IPv4, n.IPv6)
	}
	b.WriteString("endpoints:\n")
	for _, p := range []*lab.Pod{s.client, s.web, s.db} {
		iface := ""
		if p.Node == s.node {
			iface = "interface: " + p.Interface + ", "
		}
		app := p.Labels["app"]
		fmt.Fprintf(&b, "  - {%saddresses: [%s, %q], namespace: %s, pod: %s, labels: {app: %s}, workload: {kind: %s, name: %s}}\n",
			iface, p.IPv4, p.IPv6, p.Namespace, p.Name, app, kind(app), app)
	}
	fmt.Fprintf(&b, "services:\n  - {name: web, namespace: shop, address: %s}\n", s.service.Addr())
	return b.String()
}

func kind(app string) string {
	if app == "db" {
		return "StatefulSet"
	}
	return "Deployment"
}

// traffic makes some of everything, and waits until it has arrived.
func (s *shop) traffic(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	web, err := lab.ServeEcho(s.web.NS, ":80")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, web.Close()) }()
	db, err := lab.ServeEcho(s.db.NS, ":5432")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	dns, err := lab.ServeUDPEcho(s.db.NS, ":53")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dns.Close()) }()

	if _, err := (lab.TCPLoad{Target: s.service, Connections: 2, Bytes: 2000}).Run(ctx, s.client.NS); err != nil {
		return err
	}
	if _, err := (lab.TCPLoad{Target: netip.AddrPortFrom(s.db.IPv6, 5432), Bytes: 500}).Run(ctx, s.web.NS); err != nil {
		return err
	}
	if _, err := (lab.UDPLoad{Target: netip.AddrPortFrom(s.db.IPv4, 53)}).Run(ctx, s.web.NS); err != nil {
		return err
	}
	if _, err := (lab.Ping{Target: s.web.IPv4}).Run(ctx, s.client.NS); err != nil {
		return err
	}
	return s.forbidden(ctx)
}

// forbidden tries what the rule drops.
func (s *shop) forbidden(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 1200*time.Millisecond)
	defer cancel()
	c, err := s.client.DialTCP(ctx, netip.AddrPortFrom(s.db.IPv4, 5432))
	if err == nil {
		return errors.Join(errors.New("a connection that the rule drops went through"), c.Close())
	}
	return nil
}

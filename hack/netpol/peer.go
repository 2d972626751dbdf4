package netpol

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// peer is one of a rule: pods by their addresses, or a block.
type peer struct {
	pods   []netip.Addr
	block  netip.Prefix // invalid for pods
	except []netip.Prefix
}

// peers are those that a rule of a policy in a namespace has. A rule that has none
// is for all, and then so are they.
func (c *objects) peers(namespace string, given []networkingv1.NetworkPolicyPeer) (all []peer, err error) {
	if len(given) == 0 {
		return []peer{{block: netip.MustParsePrefix("0.0.0.0/0")}, {block: netip.MustParsePrefix("::/0")}}, nil
	}
	for i, g := range given {
		var e peer
		switch {
		case g.IPBlock != nil && (g.PodSelector != nil || g.NamespaceSelector != nil):
			err = errors.New("has ipBlock beside a selector, want one of both")
		case g.IPBlock != nil:
			e, err = readBlock(g.IPBlock)
		case g.PodSelector == nil && g.NamespaceSelector == nil:
			err = errors.New("is empty, want podSelector, namespaceSelector or ipBlock")
		default:
			e, err = c.selected(namespace, g)
		}
		if err != nil {
			return nil, fmt.Errorf("peer %d: %w", i+1, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// selected are the pods of selectors: without one for pods all of the namespaces,
// and without one for namespaces those of the policy's own.
func (c *objects) selected(namespace string, g networkingv1.NetworkPolicyPeer) (e peer, err error) {
	pods, spaces := labels.Everything(), labels.Everything()
	if g.PodSelector != nil {
		if pods, err = selector(g.PodSelector); err != nil {
			return e, fmt.Errorf("podSelector: %w", err)
		}
	}
	if g.NamespaceSelector != nil {
		if spaces, err = selector(g.NamespaceSelector); err != nil {
			return e, fmt.Errorf("namespaceSelector: %w", err)
		}
	}
	for _, p := range c.pods {
		own := g.NamespaceSelector != nil || p.Namespace == namespace
		if own && spaces.Matches(c.namespaces[p.Namespace]) && pods.Matches(labels.Set(p.Labels)) {
			e.pods = append(e.pods, p.addrs...)
		}
	}
	return e, nil
}

func readBlock(b *networkingv1.IPBlock) (e peer, err error) {
	if e.block, err = netip.ParsePrefix(b.CIDR); err != nil {
		return e, fmt.Errorf("ipBlock: cidr: %w", err)
	}
	for _, text := range b.Except {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return e, fmt.Errorf("ipBlock: except: %w", err)
		}
		e.except = append(e.except, p)
	}
	return e, nil
}

// has tells whether the peer has an address.
func (e *peer) has(a netip.Addr) bool {
	if !e.block.IsValid() {
		return slices.Contains(e.pods, a)
	}
	return e.block.Contains(a) && !slices.ContainsFunc(e.except, func(p netip.Prefix) bool { return p.Contains(a) })
}

// matches are the packets that have an address of the peer at a place.
func (e *peer) matches(where string) (all []string) {
	if !e.block.IsValid() {
		for _, a := range e.pods {
			all = append(all, address(where, a))
		}
		return all
	}
	if e.block.Bits() == 0 && len(e.except) == 0 {
		return []string{"meta nfproto " + map[string]string{"ip": "ipv4", "ip6": "ipv6"}[family(e.block.Addr())]}
	}
	var m strings.Builder
	fmt.Fprintf(&m, "%s %s %s", family(e.block.Addr()), where, e.block.Masked())
	for _, p := range e.except {
		fmt.Fprintf(&m, " %s %s != %s", family(p.Addr()), where, p.Masked())
	}
	return []string{m.String()}
}

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Service is an address that stands for backends.
type Service struct {
	Name     string
	VIP      netip.AddrPort
	Protocol Protocol // TCP if 0
	// Backends, at least one, all of the VIP's IP version.
	Backends []netip.AddrPort
	// Random picks the backend of each connection at random instead of in turn.
	Random bool
}

// AddService makes the node translate the destination of connections to the
// service, its own and those of its pods. Replies are translated back because
// the node tracks connections. A pod does not reach a service that picks the
// pod itself.
func (n *Node) AddService(s Service) (*Rule, error) {
	if s.Protocol == 0 {
		s.Protocol = TCP
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("add service %q: %w", s.Name, err)
	}
	r, err := n.NS.addRules("service-"+s.Name, s.fill)
	if err != nil {
		return nil, fmt.Errorf("add service %q: %w", s.Name, err)
	}
	return r, nil
}

func (s Service) check() error {
	if !s.VIP.IsValid() {
		return errors.New("no address")
	}
	if len(s.Backends) == 0 {
		return errors.New("no backends")
	}
	for _, b := range s.Backends {
		if b.Addr().Is6() != s.VIP.Addr().Is6() {
			return fmt.Errorf("backend %s is of another IP version than %s", b, s.VIP)
		}
	}
	return nil
}

func (s Service) fill(conn *nftables.Conn, table *nftables.Table) {
	for name, hook := range map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting,
		"output":     nftables.ChainHookOutput,
	} {
		chain := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: hook, Priority: nftables.ChainPriorityNATDest,
		})
		for i := range s.Backends {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: s.rule(i)})
		}
	}
}

// rule sends what earlier rules left over to the i-th backend. Each rule takes
// its share of what reaches it: with three backends a third, a half, the rest.
func (s Service) rule(i int) []expr.Any {
	exprs := matchAddr(host(s.VIP.Addr()), false)
	exprs = append(exprs, matchProtocol(s.Protocol)...)
	exprs = append(exprs, matchPort(s.VIP.Port())...)
	if left := len(s.Backends) - i; left > 1 {
		kind := uint32(unix.NFT_NG_INCREMENTAL)
		if s.Random {
			kind = unix.NFT_NG_RANDOM
		}
		exprs = append(exprs,
			&expr.Numgen{Register: 1, Modulus: uint32(left), Type: kind},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, 0)},
		)
	}
	return append(exprs, translate(s.Backends[i])...)
}

// translate changes the destination of the packet's connection.
func translate(to netip.AddrPort) []expr.Any {
	family := uint32(unix.NFPROTO_IPV4)
	if to.Addr().Is6() {
		family = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: to.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: portBytes(to.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegProtoMin: 2},
	}
}

// Masquerade gives connections that leave the cluster from the node's pods the
// node's address, and so those that a service translated, as from outside, for their
// backends to answer by way of the node.
func (n *Node) Masquerade() (*Rule, error) {
	r, err := n.NS.addRules("masquerade", func(conn *nftables.Conn, table *nftables.Table) {
		chain := conn.AddChain(&nftables.Chain{
			Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		add := func(exprs ...expr.Any) {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
		status := binary.NativeEndian.AppendUint32(nil, statusDestinationTranslated)
		none := make([]byte, len(status))
		add(&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: status, Xor: none},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: none}, &expr.Masq{})
		for _, p := range []netip.Prefix{pods4, pods6} {
			add(append(matchAddr(p, false), &expr.Verdict{Kind: expr.VerdictAccept})...)
		}
		for _, p := range []netip.Prefix{n.PodRange4, n.PodRange6} {
			exprs := append(matchAddr(p, true), &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(uplinkName), 0)})
			add(append(exprs, &expr.Masq{})...)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("masquerade: %w", err)
	}
	return r, nil
}

// statusDestinationTranslated is IPS_DST_NAT (nf_conntrack_common.h).
const statusDestinationTranslated = 1 << 5

// enableConntrack makes the node track connections.
func (n *Node) enableConntrack() error {
	_, err := n.NS.addRules("conntrack", func(conn *nftables.Conn, table *nftables.Table) {
		chain := conn.AddChain(&nftables.Chain{
			Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Counter{},
		}})
	})
	if err != nil {
		return fmt.Errorf("track connections: %w", err)
	}
	return nil
}

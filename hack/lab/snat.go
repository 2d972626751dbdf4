package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// AddSNAT makes the node send connections from and to the given addresses on with
// another source address, one of its own, and any port. All are of one IP
// version.
func (n *Node) AddSNAT(from, to netip.Prefix, as netip.Addr) (*Rule, error) {
	family := uint32(unix.NFPROTO_IPV4)
	if as.Is6() {
		family = unix.NFPROTO_IPV6
	}
	name := fmt.Sprintf("snat-%d", n.NS.number())
	r, err := n.NS.addRules(name, func(conn *nftables.Conn, table *nftables.Table) {
		chain := conn.AddChain(&nftables.Chain{
			Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		exprs := append(matchAddr(from, true), matchAddr(to, false)...)
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(exprs,
			&expr.Immediate{Register: 1, Data: as.AsSlice()},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: family, RegAddrMin: 1},
		)})
	})
	if err != nil {
		return nil, fmt.Errorf("translate the source of connections from %s to %s: %w", from, to, err)
	}
	return r, nil
}

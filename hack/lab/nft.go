package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Protocol is an IP protocol number.
type Protocol uint8

// Protocols with ports.
const (
	TCP  Protocol = unix.IPPROTO_TCP
	UDP  Protocol = unix.IPPROTO_UDP
	SCTP Protocol = unix.IPPROTO_SCTP
)

// Rule is something added to a namespace's packet filter, which ends with the
// namespace or when it is removed.
type Rule struct {
	ns    *Namespace
	table string

	mu      sync.Mutex
	removed bool
}

// Remove takes the rule away. Connections it has translated stay so. It may be
// called more than once.
func (r *Rule) Remove() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.removed || r.ns.isClosed() {
		return nil
	}
	conn, err := r.ns.nft()
	if err != nil {
		return err
	}
	conn.DelTable(&nftables.Table{Name: r.table, Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove packet filter table %s: %w", r.table, err)
	}
	r.removed = true
	return nil
}

// Packets is how many packets the rule has matched.
func (r *Rule) Packets() (uint64, error) {
	conn, err := r.ns.nft()
	if err != nil {
		return 0, err
	}
	table := &nftables.Table{Name: r.table, Family: nftables.TableFamilyINet}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return 0, fmt.Errorf("list the chains of packet filter table %s: %w", r.table, err)
	}
	var sum uint64
	for _, c := range chains {
		if c.Table.Name != r.table {
			continue
		}
		rules, err := conn.GetRules(table, c)
		if err != nil {
			return 0, fmt.Errorf("read the rules of packet filter table %s: %w", r.table, err)
		}
		for _, rule := range rules {
			for _, e := range rule.Exprs {
				if counter, ok := e.(*expr.Counter); ok {
					sum += counter.Packets
				}
			}
		}
	}
	return sum, nil
}

func (n *Namespace) nft() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	if err != nil {
		return nil, fmt.Errorf("open packet filter: %w", err)
	}
	return conn, nil
}

// addRules adds a table for IPv4 and IPv6 that fill puts chains and rules into.
func (n *Namespace) addRules(table string, fill func(*nftables.Conn, *nftables.Table)) (*Rule, error) {
	conn, err := n.nft()
	if err != nil {
		return nil, err
	}
	t := conn.CreateTable(&nftables.Table{Name: table, Family: nftables.TableFamilyINet})
	fill(conn, t)
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("add packet filter table %s: %w", table, err)
	}
	return &Rule{ns: n, table: table}, nil
}

// matchFamily matches the packets of addr's IP version.
func matchFamily(addr netip.Addr) []expr.Any {
	family := byte(unix.NFPROTO_IPV4)
	if addr.Is6() {
		family = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
	}
}

// matchAddr matches a source or destination address.
func matchAddr(prefix netip.Prefix, source bool) []expr.Any {
	offset, length := uint32(12), uint32(4)
	if prefix.Addr().Is6() {
		offset, length = 8, 16
	}
	if !source {
		offset += length
	}
	mask := net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())
	return append(matchFamily(prefix.Addr()),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: bytes.Repeat([]byte{0}, int(length))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	)
}

func matchProtocol(p Protocol) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(p)}},
	}
}

// matchPort matches a destination port.
func matchPort(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: portBytes(port)},
	}
}

func portBytes(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }

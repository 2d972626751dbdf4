package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Action is what happens to a packet that a [Drop] matches.
type Action uint8

// Actions.
const (
	Silent Action = iota // nobody is told
	Reject               // the sender gets an ICMP port unreachable
	Reset                // the sender gets a TCP reset; for TCP only
)

// Hook is where in a namespace packets are dropped.
type Hook uint8

// Hooks.
const (
	Forward Hook = iota // what the namespace routes
	Input               // what is for the namespace itself
	Output              // what the namespace sends itself
)

// Drop says which packets to drop: those that match all that is set.
type Drop struct {
	Source, Destination netip.Prefix // invalid for any
	Protocol            Protocol     // 0 for any
	Port                uint16       // destination port, 0 for any; needs Protocol
	Action              Action
	Hook                Hook
	// Log, if it is set, is what is logged of the packet before, by NFLOG.
	Log string
}

// AddDrop drops packets in the node.
func (n *Node) AddDrop(d Drop) (*Rule, error) {
	r, err := n.NS.addDrop(d)
	if err != nil {
		return nil, fmt.Errorf("add drop in node %q: %w", n.Name, err)
	}
	return r, nil
}

// AddDrop drops packets in the pod, in hook [Input] or [Output].
func (p *Pod) AddDrop(d Drop) (*Rule, error) {
	err := errors.New("a pod does not forward")
	if d.Hook != Forward {
		var r *Rule
		if r, err = p.NS.addDrop(d); err == nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("add drop in pod %q: %w", p.Name, err)
}

func (n *Namespace) addDrop(d Drop) (*Rule, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return n.addRules(fmt.Sprintf("drop-%d", n.number()), d.fill)
}

func (d Drop) check() error {
	if d.Port != 0 && d.Protocol == 0 {
		return errors.New("port without protocol")
	}
	if d.Action == Reset && d.Protocol != TCP {
		return errors.New("reset without TCP")
	}
	if d.Action > Reset || d.Hook > Output {
		return errors.New("unknown action or hook")
	}
	return nil
}

func (d Drop) fill(conn *nftables.Conn, table *nftables.Table) {
	hooks := [...]*nftables.ChainHook{
		Forward: nftables.ChainHookForward,
		Input:   nftables.ChainHookInput,
		Output:  nftables.ChainHookOutput,
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: "drop", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: hooks[d.Hook], Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: d.rule()})
}

// logGroup is the NFLOG group that nobody needs to listen to.
const logGroup = 100

func (d Drop) rule() []expr.Any {
	var exprs []expr.Any
	if d.Source.IsValid() {
		exprs = append(exprs, matchAddr(d.Source, true)...)
	}
	if d.Destination.IsValid() {
		exprs = append(exprs, matchAddr(d.Destination, false)...)
	}
	if d.Protocol != 0 {
		exprs = append(exprs, matchProtocol(d.Protocol)...)
	}
	if d.Port != 0 {
		exprs = append(exprs, matchPort(d.Port)...)
	}
	exprs = append(exprs, &expr.Counter{})
	if d.Log != "" {
		exprs = append(exprs, &expr.Log{
			Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: logGroup, Data: []byte(d.Log),
		})
	}
	switch d.Action {
	case Reject:
		return append(exprs, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
	case Reset:
		return append(exprs, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	}
	return append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})
}

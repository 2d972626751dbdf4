package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

type sysctl struct {
	name, value string
}

// Sysctl sets a network setting of the namespace, for example
// "net/ipv4/ip_forward" or "net.ipv4.ip_forward" to "1".
func (n *Namespace) Sysctl(name, value string) error {
	if !strings.Contains(name, "/") {
		name = strings.ReplaceAll(name, ".", "/")
	}
	err := n.Do(func() error {
		return os.WriteFile(path.Join("/proc/sys", name), []byte(value), 0)
	})
	if err != nil {
		return fmt.Errorf("set %s to %q: %w", name, value, err)
	}
	return nil
}

// sysctls sets what the kernel has and skips what it has not.
func (n *Namespace) sysctls(settings []sysctl) error {
	for _, s := range settings {
		if err := n.Sysctl(s.name, s.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// baseSysctls make addresses usable at once, keep the namespace from sending
// packets unasked, give clients enough ports for many short connections and
// let every ICMP error through.
func baseSysctls() []sysctl {
	return []sysctl{
		{"net/ipv6/conf/all/disable_ipv6", "0"},
		{"net/ipv6/conf/default/disable_ipv6", "0"},
		{"net/ipv6/conf/all/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/all/accept_ra", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/mldv1_unsolicited_report_interval", "1"},
		{"net/ipv6/conf/default/mldv2_unsolicited_report_interval", "1"},
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv4/conf/all/send_redirects", "0"},
		{"net/ipv4/conf/default/send_redirects", "0"},
		{"net/ipv4/ip_local_port_range", "10000 65535"},
		{"net/ipv4/tcp_tw_reuse", "1"},
		{"net/ipv4/icmp_ratelimit", "0"},
		{"net/ipv6/icmp/ratelimit", "0"},
	}
}

// forwardSysctls make the namespace a router.
func forwardSysctls() []sysctl {
	return []sysctl{
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv6/conf/default/forwarding", "1"},
	}
}

// bridgeSysctls keep bridged packets away from IP filters.
func bridgeSysctls() []sysctl {
	return []sysctl{
		{"net/bridge/bridge-nf-call-iptables", "0"},
		{"net/bridge/bridge-nf-call-ip6tables", "0"},
		{"net/bridge/bridge-nf-call-arptables", "0"},
	}
}

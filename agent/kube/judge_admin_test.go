package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/policy"
)

// nodeAddr is the address of another node.
var nodeAddr = netip.MustParseAddr("192.0.2.12")

func (c *randomCluster) setNodes() {
	c.endpoints.SetNodes("node1", []endpoint.Node{{Name: "node2", Addresses: []netip.Addr{nodeAddr}}})
}

// list is so many of what make makes, in JSON's form.
func list(n int, make func() document) []any {
	all := []any{}
	for range n {
		all = append(all, make())
	}
	return all
}

// setAdmin has a policy of administrators come or change.
func (c *randomCluster) setAdmin() {
	n := pick(c, adminNames()...)
	spec := document{"subject": c.adminPods()}
	name := fmt.Sprint("p", c.IntN(3))
	switch n.kind {
	case "BaselineAdminNetworkPolicy":
		name = "default"
	case "ClusterNetworkPolicy":
		spec["tier"] = pick(c, "Admin", "Baseline")
		fallthrough
	default:
		spec["priority"] = c.IntN(3)
	}
	for _, inward := range []bool{true, false} {
		if rules := list(c.IntN(4), func() document { return c.adminRule(n.kind, inward) }); len(rules) > 0 {
			spec[direction(inward)] = rules
		}
	}
	d := document{
		"apiVersion": adminGroup + "/" + n.versions[0], "kind": n.kind,
		"metadata": document{"name": name, "uid": "u", "generation": c.Uint32()}, "spec": spec,
	}
	text, err := json.Marshal(d)
	check(c, err)
	var o adminObject
	check(c, json.Unmarshal(text, &o))
	var read document
	check(c, json.Unmarshal(text, &read))
	c.admin[n.resource+"/"+name] = read
	check(c, c.stores[n.resource].Update(&o))
}

// removeAdmin has one go.
func (c *randomCluster) removeAdmin() {
	if len(c.admin) == 0 {
		return
	}
	key := pick(c, slices.Sorted(maps.Keys(c.admin))...)
	resource, name, _ := strings.Cut(key, "/")
	o := &adminObject{Spec: asJSON(c.admin[key]["spec"])}
	o.Name = name
	check(c, c.stores[resource].Delete(o))
	delete(c.admin, key)
}

func asJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (c *randomCluster) adminPods() document {
	if c.IntN(2) == 0 {
		return document{"namespaces": c.selector()}
	}
	return document{"pods": document{"namespaceSelector": c.selector(), "podSelector": c.selector()}}
}

func (c *randomCluster) adminRule(kind string, inward bool) document {
	allow, ports := "Allow", "ports"
	if kind == "ClusterNetworkPolicy" {
		allow, ports = "Accept", "protocols"
	}
	rule := document{"action": pick(c, allow, "Deny", "Pass")}
	if kind == "BaselineAdminNetworkPolicy" && rule["action"] == "Pass" {
		rule["action"] = "Deny"
	}
	if n := c.IntN(3); n > 0 {
		rule[ports] = list(n, func() document { return c.adminPort(kind) })
	}
	peers := "to"
	if inward {
		peers = "from"
	}
	rule[peers] = list(1+c.IntN(2), func() document {
		if inward || c.IntN(3) > 0 {
			return c.adminPods()
		}
		return c.outside()
	})
	return rule
}

// outside is a peer that is no pods.
func (c *randomCluster) outside() document {
	switch c.IntN(8) {
	case 0:
		return document{"domainNames": []string{"*.example.com", "example.org"}}
	case 1:
		return document{"nodes": document{"matchLabels": document{"a": "b"}}}
	case 2, 3:
		return document{"nodes": document{}}
	}
	return document{"networks": pick(c, []string{"172.17.0.0/16", "fd00::/16"}, []string{"0.0.0.0/0"}, []string{"10.1.1.0/24"}, []string{"::/0", "192.0.2.0/24"})}
}

func (c *randomCluster) adminPort(kind string) document {
	first := pick(c, 53, 79, 80, 8080)
	ends := document{"start": first, "end": first + pick(c, 1, 1000)}
	if kind == "ClusterNetworkPolicy" {
		to := document{"destinationPort": document{"number": first}}
		if c.IntN(2) == 0 {
			to = document{"destinationPort": document{"range": ends}}
		}
		return pick(c, document{"tcp": to}, document{"udp": to}, document{"sctp": to}, document{"destinationNamedPort": pick(c, "web", "dns")})
	}
	number := document{"port": first}
	if p := c.protocol(); p != "" {
		ends["protocol"], number["protocol"] = p, p
	}
	return pick(c, document{"portNumber": number}, document{"portRange": ends}, document{"namedPort": pick(c, "web", "dns")})
}

// addAdmin has a table know all that there are.
func (c *randomCluster) addAdmin(to *policy.Table) {
	for kind, n := range adminNames() {
		for key, d := range c.admin {
			if resource, name, _ := strings.Cut(key, "/"); resource == n.resource {
				says, err := readAdmin(adminKind(kind), asJSON(d["spec"]))
				check(c, err)
				says.Name = name
				to.Set(*says)
			}
		}
	}
}

// agrees tells whether what a table says is what the oracle says by all guesses: a
// policy is named only if all do.
func agrees(got string, want []string) bool {
	result, by, _ := strings.Cut(got, " by ")
	for _, w := range want {
		is, who, _ := strings.Cut(w, " by ")
		if len(want) == 1 && w != got {
			return false
		}
		if is != result {
			result = "undefined"
		}
		if by != "[]" && who != by && result != "undefined" {
			return false
		}
	}
	return result == "undefined" == (got == "undefined")
}

package observer

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// filterFixture has one flow of each kind, which the tables below call by their
// letters.
func filterFixture(t testing.TB) *fixture {
	f := newFixture(t)
	f.pod("shop/web-1", "10.0.0.1", endpoint.Workload{Kind: "Deployment", Name: "web"},
		map[string]string{"app": "web", "app.kubernetes.io/name": "web", "tier": "front"})
	f.pod("shop/db-0", "10.0.0.2", endpoint.Workload{Kind: "StatefulSet", Name: "db"},
		map[string]string{"app": "db"})
	f.pod("default/tool", "fd00::1", endpoint.Workload{}, nil)
	f.service("shop/api", "10.96.0.9")
	f.fqdns.Replace(map[netip.Addr][]string{netip.MustParseAddr("8.8.8.8"): {"dns.example.com", "dns.example.net"}})
	f.write(t,
		"tcp shop/web-1:40000 -> shop/api:80 flags=SYN from forward egress interface=7 mac", // a
		"tcp shop/api:80 -> shop/web-1:40000 flags=SYN,ACK reply egress interface=8",        // b
		"udp shop/web-1:5000 -> 8.8.8.8:53 from xlated=192.0.2.77",                          // c
		"drop tcp 8.8.8.8:1000 -> shop/web-1:80 flags=SYN reason=12 at=0x1000 ingress",      // d
		"drop udp shop/db-0:53 -> shop/web-1:5000 reason=14 reply",                          // e
		"icmpv6 [2001:db8::1]:128 -> default/tool forward ingress",                          // f
		"icmp 192.0.2.9:8 -> shop/db-0 from forward",                                        // g
		"sctp shop/web-1:80 -> shop/db-0:40000 forward",                                     // h
		"igmp shop/web-1:22 -> 224.0.0.22",                                                  // i
		"vrrp 192.0.2.1:1 -> 224.0.0.18:25956",                                              // j
		"tcp shop/web-1 -> shop/db-0 noports forward",                                       // k
		"lost 9 cpu=1",
	)
	return f
}

// letters lists the flows that a filter lets through.
func (f *fixture) letters(t *testing.T, req *observerpb.GetFlowsRequest) (string, error) {
	t.Helper()
	responses, err := f.get(context.Background(), req)
	var out strings.Builder
	lost := 0
	for _, r := range responses {
		if r.GetLostEvents() != nil {
			lost++
			continue
		}
		out.WriteByte('a' + byte(f.sequence(t, r.GetFlow())))
	}
	want := 1
	for _, f := range req.GetWhitelist() {
		if len(f.GetUuid()) > 0 {
			want = 0
		}
	}
	if err == nil && lost != want {
		t.Errorf("%d lost events sent, want %d: only a look-up by uuid may pass them over", lost, want)
	}
	return out.String(), err
}

const allFlows = "abcdefghijk"

type filterCase struct{ filter, want string }

// validFilters has cases for every field, by name.
func validFilters() map[string][]filterCase {
	return map[string][]filterCase{
		"uuid": {
			{`uuid: "fedcba98-7654-8321-8000-000000000002"`, "c"},
			{`uuid: ["fedcba98-7654-8321-8000-000000000002", "fedcba98-7654-8321-8000-000000000000"]`, "ac"},
			{`uuid: "FEDCBA98-7654-8321-8000-000000000002"`, ""},
			{`uuid: "anything"`, ""},
			{`uuid: ""`, ""},
		},
		"source_ip": {
			{`source_ip: "10.0.0.1"`, "achik"},
			{`source_ip: "10.0.0.0/8"`, "abcehik"},
			{`source_ip: ["192.0.2.1", "8.8.8.8/32"]`, "dj"},
			{`source_ip: "2001:db8::1"`, "f"},
			{`source_ip: "2001:DB8:0::1"`, "f"},
			{`source_ip: "2001:db8::/32"`, "f"},
			{`source_ip: "0.0.0.0/0"`, "abcdeghijk"},
			{`source_ip: "::/0"`, "f"},
			{`source_ip: "::ffff:10.0.0.1"`, ""},
			{`source_ip: "fe80::1%eth0"`, ""},
		},
		"destination_ip": {
			{`destination_ip: "10.0.0.1"`, "bde"},
			{`destination_ip: "224.0.0.0/4"`, "ij"},
			{`destination_ip: "fd00::/64"`, "f"},
			{`destination_ip: "10.0.0.1/31"`, "bde"},
		},
		"source_ip_xlated": {
			{`source_ip_xlated: "192.0.2.77"`, "c"},
			{`source_ip_xlated: ["192.0.2.7", "192.0.2.64/28"]`, "c"},
			{`source_ip_xlated: "0.0.0.0/0"`, "c"},
			{`source_ip_xlated: "::/0"`, ""},
			{`source_ip_xlated: "10.0.0.1"`, ""},
		},
		"source_pod": {
			{`source_pod: "shop/"`, "abcehik"},
			{`source_pod: "shop/web"`, "achik"},
			{`source_pod: "shop/web-1"`, "achik"},
			{`source_pod: "shop/web-11"`, ""},
			{`source_pod: "/db"`, "e"},
			{`source_pod: "/"`, "abcehik"},
			{`source_pod: "web"`, ""},
			{`source_pod: ["other/", "/db"]`, "e"},
		},
		"destination_pod": {
			{`destination_pod: "tool"`, "f"},
			{`destination_pod: "default/"`, "f"},
			{`destination_pod: "shop/db"`, "ghk"},
		},
		"source_fqdn": {
			{`source_fqdn: "*.Example.com."`, "d"},
			{`source_fqdn: "dns.example.net"`, "d"},
			{`source_fqdn: "ns.example.*"`, ""},
		},
		"destination_fqdn": {
			{`destination_fqdn: ["example.com", "a_b-c.1"]`, ""},
			{`destination_fqdn: ["a.b", "*.example.com"]`, "c"},
		},
		"source_label": {
			{`source_label: "app=web"`, "achik"},
			{`source_label: "k8s:app=web"`, "achik"},
			{`source_label: "any:app=web"`, "achik"},
			{`source_label: "unspec:app=web"`, "achik"},
			{`source_label: "other:app=web"`, ""},
			{`source_label: "app in (web, db), !tier"`, "e"},
			{`source_label: "app notin (web)"`, "bdefgj"},
			{`source_label: "!app"`, "bdfgj"},
			{`source_label: "app.kubernetes.io/name"`, "achik"},
			{`source_label: "reserved:world"`, "dfgj"},
			{`source_label: "k8s:io.kubernetes.pod.namespace = shop"`, "acehik"},
			{`source_label: ["app=db", "reserved:unknown"]`, "e"},
			{`source_label: ""`, allFlows},
		},
		"destination_label": {
			{`destination_label: "app=web,tier!=back"`, "bde"},
			{`destination_label: "! app , reserved:world"`, "cij"},
		},
		"node_labels": {
			{`node_labels: "zone=a"`, ""},
			{`node_labels: "!zone"`, allFlows},
			{`node_labels: "zone notin (a)"`, allFlows},
		},
		"source_service": {
			{`source_service: "shop/api"`, "b"},
			{`source_service: "api"`, ""},
			{`source_service: "/"`, "b"},
		},
		"destination_service": {
			{`destination_service: "shop/"`, "a"},
			{`destination_service: "/a"`, "a"},
		},
		"source_workload": {
			{`source_workload: {kind: "Deployment" name: "web"}`, "achik"},
			{`source_workload: {kind: "StatefulSet"}`, "e"},
			{`source_workload: {name: "we"}`, ""},
			{`source_workload: [{name: "db"}, {kind: "Service"}]`, "be"},
			{`source_workload: {}`, "abcehik"},
		},
		"destination_workload":     {{`destination_workload: {name: "web"}`, "bde"}},
		"source_cluster_name":      {{`source_cluster_name: "prod"`, "abcehik"}, {`source_cluster_name: "pro"`, ""}},
		"destination_cluster_name": {{`destination_cluster_name: ["x", "prod"]`, "abdefghk"}},
		"source_identity":          {{`source_identity: 2`, "dfgj"}, {`source_identity: [0, 1, 3]`, ""}},
		"destination_identity":     {{`destination_identity: [2, 1]`, "cij"}},
		"traffic_direction": {
			{`traffic_direction: EGRESS`, "ab"},
			{`traffic_direction: [INGRESS, TRAFFIC_DIRECTION_UNKNOWN]`, "cdefghijk"},
		},
		"verdict": {
			{`verdict: DROPPED`, "de"},
			{`verdict: [FORWARDED, AUDIT]`, "abcfghijk"},
			{`verdict: VERDICT_UNKNOWN`, ""},
		},
		"drop_reason_desc": {
			{`drop_reason_desc: INVALID_PACKET_DROPPED`, "e"},
			{`drop_reason_desc: DROP_REASON_UNKNOWN`, "d"},
			{`drop_reason_desc: POLICY_DENIED`, ""},
		},
		"interface": {
			{`interface: {index: 7}`, "a"},
			{`interface: {name: "veth8"}`, "b"},
			{`interface: {index: 7 name: "veth8"}`, ""},
			{`interface: {}`, "ab"},
		},
		"event_type": {
			{`event_type: {type: 4}`, "abcfghijk"},
			{`event_type: {type: 4 match_sub_type: true sub_type: 5}`, "acg"},
			{`event_type: {type: 4 match_sub_type: true}`, "bfhijk"},
			{`event_type: {type: 1 match_sub_type: true sub_type: 134}`, "e"},
			{`event_type: {type: 1 match_sub_type: true sub_type: 255}`, "d"},
			{`event_type: [{type: 1}, {type: 129}]`, "de"},
			{`event_type: {}`, allFlows},
		},
		"http_status_code": {{`http_status_code: ["404", "4+", "50+"]`, ""}, {`http_status_code: "200" event_type: {type: 129}`, ""}},
		"http_method":      {{`http_method: "get"`, ""}},
		"http_path":        {{`http_path: "/api/.*"`, ""}},
		"http_url":         {{`http_url: "^http"`, ""}},
		"http_header":      {{`http_header: {key: "a" value: "b"}`, ""}},
		"dns_query":        {{`dns_query: "kube.*local"`, ""}},
		"protocol": {
			{`protocol: "tcp"`, "abd"},
			{`protocol: "UDP"`, "ce"},
			{`protocol: "icmp"`, "fg"},
			{`protocol: "icmpv4"`, "g"},
			{`protocol: "icmpv6"`, "f"},
			{`protocol: ["sctp", "igmp", "vrrp"]`, "hij"},
			{`protocol: ["dns", "http"]`, ""},
		},
		"source_port": {
			{`source_port: "80"`, "bh"},
			{`source_port: ["8", "22", "128", "0"]`, ""},
		},
		"destination_port": {{`destination_port: ["80", "53"]`, "acd"}, {`destination_port: "0"`, ""}},
		"reply": {
			{`reply: true`, "be"},
			{`reply: false`, "adfghk"},
			{`reply: [true, false]`, "abdefghk"},
		},
		"tcp_flags": {
			{`tcp_flags: {SYN: true}`, "abd"},
			{`tcp_flags: {SYN: true ACK: true}`, "b"},
			{`tcp_flags: [{RST: true}, {ACK: true}]`, "b"},
			{`tcp_flags: {}`, "abd"},
		},
		"node_name": {
			{`node_name: "node-1.example.com"`, allFlows},
			{`node_name: "prod/node-*"`, allFlows},
			{`node_name: "prod/"`, allFlows},
			{`node_name: "/*.com"`, allFlows},
			{`node_name: "NODE-1.example.com."`, allFlows},
			{`node_name: "default/node-1.example.com"`, ""},
			{`node_name: "node-1"`, ""},
			{`node_name: ["x", "p*d/n*"]`, allFlows},
		},
		"ip_version": {
			{`ip_version: IPv6`, "f"},
			{`ip_version: IPv4`, "abcdeghijk"},
			{`ip_version: IP_NOT_USED`, ""},
		},
		"trace_id":    {{`trace_id: "4bf92f3577b34da6a3ce929d0e0e4736"`, ""}, {`trace_id: ""`, allFlows}},
		"ip_trace_id": {{`ip_trace_id: 7`, ""}, {`ip_trace_id: 0`, allFlows}},
		"encrypted":   {{`encrypted: true`, ""}, {`encrypted: false`, allFlows}},
		"experimental": {
			{`experimental: {}`, allFlows},
			{`experimental: {cel_expression: "true"}`, allFlows},
			{`experimental: {cel_expression: "false"}`, ""},
			{`experimental: {cel_expression: "_flow.IP.source == '10.0.0.1'"}`, "achik"},
			{`experimental: {cel_expression: "_flow.IP.source == '192.0.2.1'" cel_expression: "_flow.IP.source == '8.8.8.8'"}`, "dj"},
			{`experimental: {cel_expression: "_flow.source.labels[99] == 'x'"}`, ""},
			{`destination_ip: "224.0.0.0/4" experimental: {cel_expression: "_flow.IP.source == '10.0.0.1'"}`, "i"},
		},
	}
}

func filterOf(t testing.TB, text string) *flowpb.FlowFilter {
	t.Helper()
	f := &flowpb.FlowFilter{}
	if err := prototext.Unmarshal([]byte(text), f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func TestFilters(t *testing.T) {
	f := filterFixture(t)
	for field, cases := range validFilters() {
		for _, c := range cases {
			t.Run(field+"/"+c.filter, func(t *testing.T) {
				filter := []*flowpb.FlowFilter{filterOf(t, c.filter)}
				got, err := f.letters(t, &observerpb.GetFlowsRequest{First: true, Whitelist: filter})
				if err != nil {
					t.Fatal(err)
				}
				if got != c.want {
					t.Errorf("whitelist: got %q, want %q", got, c.want)
				}
				got, err = f.letters(t, &observerpb.GetFlowsRequest{First: true, Blacklist: filter})
				if err != nil {
					t.Fatal(err)
				}
				rest := strings.Map(func(r rune) rune {
					if strings.ContainsRune(c.want, r) {
						return -1
					}
					return r
				}, allFlows)
				if got != rest {
					t.Errorf("blacklist: got %q, want %q", got, rest)
				}
			})
		}
	}
}

// TestFiltersOfAllFields fails when Hubble's API has a new field.
func TestFiltersOfAllFields(t *testing.T) {
	fields := (&flowpb.FlowFilter{}).ProtoReflect().Descriptor().Fields()
	tested := validFilters()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if len(tested[name]) == 0 {
			t.Errorf("no test of %s", name)
		}
	}
}

func TestFilterCombinations(t *testing.T) {
	f := filterFixture(t)
	for name, c := range map[string]struct{ request, want string }{
		"a filter is an AND of its fields": {
			`whitelist: {source_pod: "shop/web" protocol: "tcp" destination_port: "80"}`, "a"},
		"fields of one side are asked of one endpoint": {
			`whitelist: {source_pod: "shop/" source_label: "app=db"}`, "e"},
		"a whitelist is an OR of its filters": {
			`whitelist: {protocol: "udp"} whitelist: {verdict: DROPPED}`, "cde"},
		"a blacklist removes what any filter matches": {
			`blacklist: {protocol: "udp"} blacklist: {verdict: DROPPED}`, "abfghijk"},
		"both": {
			`whitelist: {protocol: ["tcp", "udp"]} blacklist: {verdict: DROPPED protocol: "udp"}`, "abcd"},
		"an empty filter matches all":     {`whitelist: {}`, allFlows},
		"an empty filter may exclude all": {`blacklist: {}`, ""},
		"one that matches beside one that does not": {
			`whitelist: {http_method: "GET"} whitelist: {reply: true}`, "be"},
	} {
		t.Run(name, func(t *testing.T) {
			req := &observerpb.GetFlowsRequest{}
			if err := prototext.Unmarshal([]byte(c.request), req); err != nil {
				t.Fatal(err)
			}
			got, err := f.letters(t, req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInvalidFilters(t *testing.T) {
	f := filterFixture(t)
	for filter, want := range map[string]string{
		`source_ip: "10.0.0.256"`:                       `source_ip: "10.0.0.256"`,
		`source_ip: ""`:                                 `source_ip: ""`,
		`destination_ip: "10.0.0.0/33"`:                 `destination_ip: "10.0.0.0/33"`,
		`source_ip_xlated: "x"`:                         `source_ip_xlated: "x"`,
		`source_pod: ""`:                                `source_pod: ""`,
		`destination_pod: "a/b/c"`:                      `destination_pod: "a/b/c"`,
		`source_service: ""`:                            `source_service: ""`,
		`destination_service: "a/b/c"`:                  `destination_service: "a/b/c"`,
		`source_fqdn: ""`:                               `source_fqdn: ""`,
		`destination_fqdn: "a.."`:                       `destination_fqdn: "a.."`,
		`source_fqdn: "a/b"`:                            `source_fqdn: "a/b"`,
		`dns_query: "("`:                                `dns_query: "("`,
		`source_label: "app in web"`:                    `source_label: "app in web"`,
		`source_label: " "`:                             `source_label: " "`,
		`destination_label: "app=,=b"`:                  `destination_label: "app=,=b"`,
		`node_labels: "=a"`:                             `node_labels: "=a"`,
		`source_cluster_name: ""`:                       `source_cluster_name: ""`,
		`destination_cluster_name: ["a", ""]`:           `destination_cluster_name: ""`,
		`source_port: "65536"`:                          `source_port: "65536"`,
		`destination_port: "http"`:                      `destination_port: "http"`,
		`protocol: "quic"`:                              `protocol: "quic"`,
		`verdict: 99`:                                   `verdict: "99"`,
		`traffic_direction: 3`:                          `traffic_direction: "3"`,
		`drop_reason_desc: 1`:                           `drop_reason_desc: "1"`,
		`drop_reason_desc: 389`:                         `drop_reason_desc: "389"`,
		`ip_version: -1`:                                `ip_version: "-1"`,
		`http_status_code: "600"`:                       `http_status_code: "600"`,
		`http_status_code: "40"`:                        `http_status_code: "40"`,
		`http_status_code: "404+"`:                      `http_status_code: "404+"`,
		`http_status_code: "+"`:                         `http_status_code: "+"`,
		`http_status_code: "200" event_type: {type: 4}`: `http_status_code`,
		`http_method: "GET" event_type: {type: 1}`:      `http_method`,
		`http_header: {key: "a"} event_type: {type: 0}`: `http_header`,
		`http_path: "["`:                                `http_path: "["`,
		`http_path: "a" event_type: {type: 4}`:          `http_path`,
		`http_url: "*"`:                                 `http_url: "*"`,
		`http_url: "a" event_type: {type: 4}`:           `http_url`,
		`node_name: ""`:                                 `node_name: ""`,
		`node_name: "a/b/c"`:                            `node_name: "a/b/c"`,
		`node_name: "a b"`:                              `node_name: "a b"`,
		`experimental: {cel_expression: "1"}`:           `experimental.cel_expression: "1" is not valid`,
		`experimental: {cel_expression: ["true", "("]}`: `experimental.cel_expression: "(" is not valid`,
	} {
		t.Run(filter, func(t *testing.T) {
			whitelist := []*flowpb.FlowFilter{{}, filterOf(t, filter)}
			wantInvalid(t, f, &observerpb.GetFlowsRequest{Whitelist: whitelist}, "whitelist[1]."+want)
			wantInvalid(t, f, &observerpb.GetFlowsRequest{Blacklist: whitelist}, "blacklist[1]."+want)
		})
	}
}

// wantInvalid checks that a request is refused with an error that begins so,
// before anything is sent.
func wantInvalid(t *testing.T, f *fixture, req *observerpb.GetFlowsRequest, want string) {
	t.Helper()
	sent, err := f.get(context.Background(), req)
	if status.Code(err) != codes.InvalidArgument {
		t.Fatalf("got %v, want InvalidArgument", err)
	}
	if got := status.Convert(err).Message(); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	if len(sent) > 0 {
		t.Errorf("%d responses sent", len(sent))
	}
}

// TestUnknownFilterFields asks as a client of a later API would.
func TestUnknownFilterFields(t *testing.T) {
	f := filterFixture(t)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 4242, protowire.VarintType), 1)
	outer, inner := &flowpb.FlowFilter{}, &flowpb.Workload{Name: "web"}
	outer.ProtoReflect().SetUnknown(unknown)
	inner.ProtoReflect().SetUnknown(unknown)
	experimental := &flowpb.FlowFilter_Experimental{}
	experimental.ProtoReflect().SetUnknown(unknown)
	for want, filter := range map[string]*flowpb.FlowFilter{
		"whitelist[0]: field number 4242":                 outer,
		"whitelist[0].source_workload: field number 4242": {SourceWorkload: []*flowpb.Workload{inner}},
		"whitelist[0].experimental: field number 4242":    {Experimental: experimental},
	} {
		wantInvalid(t, f, &observerpb.GetFlowsRequest{Whitelist: []*flowpb.FlowFilter{filter}}, want)
	}
}

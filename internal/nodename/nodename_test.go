package nodename

import "testing"

func TestName(t *testing.T) {
	for _, c := range [][3]string{
		{"prod", "n", "prod/n"},
		{"default", "n", "n"},
		{"", "n", "n"},
	} {
		if got := Name(c[0], c[1]); got != c[2] {
			t.Errorf("Name(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestServerName(t *testing.T) {
	for _, c := range [][3]string{
		{"prod", "node-1", "node-1.prod.hubble-grpc.cilium.io"},
		{"", "node-1", "node-1.default.hubble-grpc.cilium.io"},
		{"eu.prod", "node-1.example.com", "node-1-example-com.eu-prod.hubble-grpc.cilium.io"},
	} {
		if got := ServerName(c[0], c[1]); got != c[2] {
			t.Errorf("ServerName(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"":                 "",
		"192.0.2.1":        "192.0.2.1:4244",
		"192.0.2.1:1":      "192.0.2.1:1",
		"node-1":           "node-1:4244",
		"fd00::1":          "[fd00::1]:4244",
		"[fd00::1]":        "[fd00::1]:4244",
		"[fd00::1]:1":      "[fd00::1]:1",
		"unix:///run/sock": "unix:///run/sock",
	} {
		if got := Address(address); got != want {
			t.Errorf("Address(%q) = %q, want %q", address, got, want)
		}
	}
}

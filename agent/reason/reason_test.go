package reason

import "testing"

func TestAt(t *testing.T) {
	for _, tt := range []struct {
		name, function string
		want           uint32
	}{
		{"NO_SOCKET", "tcp_v4_rcv", socketLookupFailed},
		{"NETFILTER_DROP", "nft_do_chain", None},
		{"IP_INHDR", "ip_rcv_core", invalidPacket},
		{"IP_INHDR", "ip_forward", timeToLiveExceeded},
		{"IP_INHDR", "ip6_forward", timeToLiveExceeded},
		{"A_NEW_ONE", "ip_forward", None},
		{NotSpecified, "ip_error", routeLookupFailed},
		{NotSpecified, "do_xdp_generic", None},
		{NotSpecified, "tcp_v4_rcv", None},
	} {
		if got := At(tt.name, tt.function).Hubble; got != tt.want {
			t.Errorf("%s at %s is Hubble's %d, want %d", tt.name, tt.function, got, tt.want)
		}
	}
	for function, lost := range map[string]bool{"ip_error": true, "do_xdp_generic": true, "ip6_mc_input": false, "": false} {
		if got := At(NotSpecified, function).NoLoss == ""; got != lost {
			t.Errorf("for no reason at %q is a loss: %v, want %v", function, got, lost)
		}
	}
	for _, tt := range []struct {
		name, function string
		want           bool
	}{
		{"NETFILTER_DROP", "nft_do_chain", true},
		{"TC_EGRESS", "__dev_queue_xmit", true},
		{"XDP", "", true},
		{NotSpecified, "do_xdp_generic", true},
		{NotSpecified, "ip_error", false},
		{"", "nf_hook_slow", true},
		{"", "tcp_v4_rcv", false},
		{"NO_SOCKET", "nf_hook_slow", false},
		{"A_NEW_ONE", "", false},
	} {
		if got := MayBePolicy(tt.name, tt.function); got != tt.want {
			t.Errorf("%q at %s may be a policy's: %v, want %v", tt.name, tt.function, got, tt.want)
		}
	}
	for name, lost := range map[string]bool{"SKB_CONSUMED": false, "TCP_OLD_DATA": false, "NETFILTER_DROP": true, "A_NEW_ONE": true} {
		if got := At(name, "").NoLoss == ""; got != lost {
			t.Errorf("%s is a loss: %v, want %v", name, got, lost)
		}
	}
}

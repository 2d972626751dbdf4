package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// protocolVRRP is VRRP's IP protocol number.
const protocolVRRP = 112

// IGMPReport is IGMPv2 membership reports sent to the group, with the router
// alert option.
type IGMPReport struct {
	Source netip.Addr
	Group  netip.Addr
	Count  int // how many, 1 if 0
}

// Run sends from ns. Nobody answers.
func (r IGMPReport) Run(ctx context.Context, ns *Namespace) error {
	group := r.Group.As4()
	body := append([]byte{0x16, 0, 0, 0}, group[:]...)
	binary.BigEndian.PutUint16(body[2:], internetChecksum(body))
	header := &ipv4.Header{
		TTL: 1, Protocol: unix.IPPROTO_IGMP, Src: r.Source.AsSlice(), Dst: r.Group.AsSlice(),
		Options: []byte{0x94, 4, 0, 0}, // router alert
	}
	if err := sendRaw(ctx, ns, header, body, r.Count); err != nil {
		return fmt.Errorf("send IGMP report: %w", err)
	}
	return nil
}

// VRRPAdvert is VRRPv2 advertisements sent to 224.0.0.18.
type VRRPAdvert struct {
	Source   netip.Addr
	Router   uint8 // virtual router ID
	Priority uint8
	Address  netip.Addr // of the virtual router
	Count    int        // how many, 1 if 0
}

// Run sends from ns. Nobody answers.
func (a VRRPAdvert) Run(ctx context.Context, ns *Namespace) error {
	address := a.Address.As4()
	body := append([]byte{0x21, a.Router, a.Priority, 1, 0, 1, 0, 0}, address[:]...)
	body = append(body, make([]byte, 8)...) // authentication data
	binary.BigEndian.PutUint16(body[6:], internetChecksum(body))
	header := &ipv4.Header{
		TTL: 255, Protocol: protocolVRRP, Src: a.Source.AsSlice(), Dst: net.IPv4(224, 0, 0, 18),
	}
	if err := sendRaw(ctx, ns, header, body, a.Count); err != nil {
		return fmt.Errorf("send VRRP advertisement: %w", err)
	}
	return nil
}

// sendRaw sends the IPv4 packet count times, at least once.
func sendRaw(ctx context.Context, ns *Namespace, h *ipv4.Header, body []byte, count int) error {
	c, err := ns.ListenPacket(ctx, fmt.Sprintf("ip4:%d", h.Protocol), h.Src.String())
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := ipv4.NewRawConn(c)
	if err != nil {
		return err
	}
	h.Version = ipv4.Version
	h.Len = ipv4.HeaderLen + len(h.Options)
	h.TotalLen = h.Len + len(body)
	for range max(count, 1) {
		if err := raw.WriteTo(h, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// internetChecksum is the checksum of b, whose length must be even.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

package lookup

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fovea-obs/fovea/agent/dns"
	"github.com/fovea-obs/fovea/agent/endpoint"
	"github.com/fovea-obs/fovea/agent/fate"
	"github.com/fovea-obs/fovea/agent/mac"
	"github.com/fovea-obs/fovea/agent/policy"
	"github.com/fovea-obs/fovea/agent/service"
)

// Tables is what the numbers in a record stand for, and what is the same for all
// records. All fields are required, and all functions are safe for concurrent
// use.
type Tables struct {
	Endpoints *endpoint.Table
	Services  *service.Table
	Names     *dns.Table
	Fates     *fate.Table
	MACs      *mac.Table
	Policies  *policy.Table

	// Node is the node's name, as Hubble writes it: see nodename.Name.
	Node string
	// Version of the agent, as clients are told it.
	Version string
	// Instance is random for each start of the agent: see FormatUUID.
	Instance [8]byte

	// InterfaceName returns the name of an interface, or "" if it is gone.
	InterfaceName func(index uint32) string
	// ReasonName returns the name of one of the kernel's enum skb_drop_reason,
	// as NETFILTER_DROP, or "" if there is none.
	ReasonName func(reason uint32) string
	// Symbol returns the kernel function that holds an address, or "".
	Symbol func(address uint64) string
}

// Epoch changes when what was remembered of a number is void: see package
// intern.
type Epoch [6]uint64

// Epoch returns the present epoch. A reader asks for it after it got hold of a
// chunk.
func (t *Tables) Epoch() Epoch {
	return Epoch{t.Endpoints.Epoch(), t.Services.Epoch(), t.Names.Epoch(), t.Fates.Epoch(), t.MACs.Epoch(), t.Policies.Epoch()}
}

// maxValue is how much of a value an error repeats: headers, in which errors are
// sent, may not be long.
const maxValue = 300

// Invalid is the error for a value that a request's field must not have.
func Invalid(field, value, allowed string) error {
	if len(value) > maxValue {
		value = strings.ToValidUTF8(value[:maxValue], "") + "…"
	}
	return status.Error(codes.InvalidArgument, fmt.Sprintf("%s: %q is not valid: %s expected", field, value, allowed))
}

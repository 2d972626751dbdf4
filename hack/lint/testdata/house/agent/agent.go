package agent

import (
	"os"

	_ "example.com/house/agent/attic"
	_ "example.com/house/agent/ingest"
	_ "example.com/house/agent/observer"
	_ "example.com/house/hack/lab" // want "agent may not import hack/lab (the agent puts its rooms together"
	"example.com/house/internal/rpc"
	_ "example.com/house/relay" // want "agent may not import relay (the agent puts its rooms together"
)

func Run(int, string) {
	rpc.Limit = 3 // want "package-level variable Limit is assigned to (no global state"
	os.Exit(1)    // want "os.Exit outside of a command (only main ends the process"
}

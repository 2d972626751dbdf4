//go:build !linux

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// agentCommand says why there is no agent, whatever its options are.
func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "agent",
		Short:              "Observe this node, which Linux alone can",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("the agent needs Linux, and this is %s: run it on the nodes, and ask it from here", runtime.GOOS)
		},
	}
}

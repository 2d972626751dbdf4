package main

import (
	"os"

	"example.com/house/agent"
	"example.com/house/agent/history" // want ". may not import agent/history (main.go is the command line and holds no logic)"
)

var release string

func main() {
	agent.Run(history.Size(), release)
	os.Exit(0)
}

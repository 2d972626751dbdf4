package observer

import (
	_ "google.golang.org/protobuf/proto"

	_ "example.com/house/agent/datapath" // want "agent/observer may not import agent/datapath (the observer reads history"
	_ "example.com/house/agent/history"
)

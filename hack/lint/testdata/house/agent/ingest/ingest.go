package ingest

import (
	_ "example.com/house/agent/datapath"
	_ "example.com/house/agent/endpoint"
	_ "example.com/house/agent/history" // want "agent/ingest may not reach google.golang.org/protobuf/proto, as it does by agent/history → google.golang.org/protobuf/proto (ingest writes records"
)

package endpoint

import (
	_ "net/netip"
	_ "os" // want "agent/endpoint may not import os (tables are filled by a source"
)

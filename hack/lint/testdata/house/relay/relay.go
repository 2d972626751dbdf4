package relay

import _ "example.com/house/agent/endpoint" // want "relay may not import agent/endpoint (the relay knows agents by their API only)"

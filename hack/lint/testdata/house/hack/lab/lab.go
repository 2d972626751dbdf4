package lab

import _ "example.com/house/agent/history"

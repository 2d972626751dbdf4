package datapath

import _ "example.com/house/bpf"

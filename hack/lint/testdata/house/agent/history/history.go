package history

import _ "google.golang.org/protobuf/proto" // want "agent/history may not import google.golang.org/protobuf/proto (the record is the only form"

func Size() int { return 0 }

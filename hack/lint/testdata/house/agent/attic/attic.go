package attic // want "package agent/attic is in no room"

// Package config takes a command's settings from where they may be given: its
// flags, the environment and a YAML file.
//
// The flags are the only list of settings. Each may also be given as an
// environment variable, --node-name as FOVEA_NODE_NAME, and in the file that
// --config names, under the flag's name:
//
//	node-name: node1
//	interfaces: ["veth*", "!veth-test*"]
//
// A flag counts more than the environment, that more than the file, and that
// more than the default. A name that is no setting is an error wherever it is
// found, so that a slip of the pen is not taken for a default. All errors are
// told at once, and each says where the value came from.
//
// A command binds its flags to its configuration with [Size], [Choice] and the
// like, calls [Resolve] once the command line is parsed, and lets
// [Sources.Trace] say where a value came from that only a later check refuses.
package config

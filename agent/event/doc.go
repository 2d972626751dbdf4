// Package event keeps what happened to the agent: that it started, and what came,
// changed and went of the endpoints of its node, and of the services and network
// policies it knows.
//
// A [Log] holds the newest [Size] events. Each has a number, one more than that
// of the event before it. A reader holds the number at which it goes on; what
// was overwritten before it was read is passed over, as Hubble's API has no way
// to tell of it. Nobody who adds an event waits for readers.
package event

// Package glob reads the patterns of Hubble's filters for names of domains and nodes.
package glob

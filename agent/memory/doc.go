// Package memory gives back to the system what only the start of an agent needed: that
// takes several times the memory that running does, and most of the program's code runs
// once.
package memory

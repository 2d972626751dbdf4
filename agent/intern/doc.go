// Package intern gives values small numbers, for records that hold numbers
// only.
//
// A [Set] gives equal values the same number, and what a number stands for does
// not change while anybody needs it. Numbers that nobody needs any more are
// given to other values: who needs them is found out now and then, as a garbage
// collector does, by [Set.Release]. So what a record costs to write does not
// include counting references.
//
// # Readers
//
// A reader gets numbers from chunks of the history. While it holds a chunk, the
// numbers in it keep their values. Whatever it remembers of a number for longer
// is valid for as long as [Set.Epoch] stays the same, which it must look at
// after it got hold of each chunk.
package intern

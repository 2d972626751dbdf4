// Package merge puts what several sources tell into one order, by time.
//
// A [Merge] has a queue for each source, of items in the order of their times. The
// earliest of all is out as soon as no source can have an earlier one to come: each
// has told a later one, or a mark, or has ended. Of a source that tells no marks
// nobody knows that, so a merge may have patience: an item that has waited so long is
// out all the same. What comes too late is out at once.
//
// Finding the earliest of k sources costs a comparison for each doubling of k: a
// tournament, of which only the way of the one that changed is played again (D. E.
// Knuth, The Art of Computer Programming, volume 3, section 5.4.1).
package merge

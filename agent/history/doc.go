// Package history keeps the node's flows: a bounded ring of records in
// columns, written by one goroutine and read by any number without locks.
//
// # Records and sequence numbers
//
// A [Record] is the only form of a flow inside the agent: of fixed size, with
// no pointers; endpoints and services are interned numbers. Every record gets
// the next sequence number, starting at 0, and a time that is greater than
// that of the record before it, so both order a node's flows totally.
//
// # Chunks
//
// Records lie in chunks of [ChunkSize], column by column, so that a filter on
// one field reads that field's memory only. A chunk that is full has a [Summary]
// of what is in it, so that a reader can pass over it. The ring holds a fixed
// number of chunks, allocated when first needed. When it is full the writer
// takes the oldest chunk again: at once if nobody reads it, and otherwise it
// leaves that chunk to its readers (and then to the garbage collector) and
// allocates another. A reader therefore never sees a record change, and the
// writer never waits.
//
// What an interned number stands for is needed for as long as a record has it
// that can be read: [History.Used] tells which do.
//
// # Reading
//
// A reader holds a sequence number. [History.Segment] pins the chunk around it
// and gives the records written so far; a reader that was overtaken is given
// [ErrOverwritten] and goes on from [History.Oldest], and the difference is
// what it lost. [History.Changed] tells when there is more.
package history

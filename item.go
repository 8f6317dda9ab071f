package irgdata

// Item is what a stage passes to the next one: a value, or the reject that
// took its place. Rejects travel with the stream, in order, so that none is
// lost and the counts add up at the end.
type Item[T any] struct {
	Value  T
	Reject *Reject
	// Cut, unless nil, makes this no item but a mark between items. Stages pass
	// it on.
	Cut *Cut
}

// Cut ends a part of a stream: the items since the cut before.
type Cut struct {
	// Part is the digest of all that decides what becomes of the part.
	Part Digest
	// Known: this has been seen before, and the items are not in the stream.
	Known bool
}

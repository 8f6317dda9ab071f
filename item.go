package irgdata

// Item is what a stage passes to the next one: a value, or the reject that
// took its place. Rejects travel with the stream, in order, so that none is
// lost and the counts add up at the end.
type Item[T any] struct {
	Value  T
	Reject *Reject
}

package tokenizer

// pair is two neighbouring tokens, and merging what they become; of several
// that could be, the one of the least rank is.
type pair struct{ left, right int32 }

type merging struct{ rank, id int32 }

// symbol is a token of a word under way, in a list by places. A symbol that its
// left neighbour took in has id -1.
type symbol struct{ id, before, after int32 }

// candidate is a merging that may be, of the symbol at a place with the one
// after it.
type candidate struct {
	merging
	place int32
	pair
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.place < d.place
}

// builder merges the bytes of words; its memory is that of its longest word.
// It is for one goroutine.
type builder struct {
	t       *Tokenizer
	symbols []symbol
	heap    []candidate
	ids     []int32
	one     [1]int32
}

// build returns the ids of a word, valid until the next call. Its time is
// n log n in the word's length, whatever the word.
func (b *builder) build(word string) []int32 {
	b.symbols, b.heap, b.ids = b.symbols[:0], b.heap[:0], b.ids[:0]
	for i := range len(word) {
		b.symbols = append(b.symbols, symbol{id: b.t.bytes[word[i]], before: int32(i) - 1, after: int32(i) + 1})
	}
	b.symbols[len(word)-1].after = -1
	for i := range len(word) - 1 {
		b.consider(int32(i))
	}
	for len(b.heap) > 0 {
		c := b.pop()
		s := &b.symbols[c.place]
		if s.id != c.left || s.after < 0 || b.symbols[s.after].id != c.right {
			continue // one of the two has been merged otherwise
		}
		gone := &b.symbols[s.after]
		s.id, s.after, gone.id = c.id, gone.after, -1
		if s.after >= 0 {
			b.symbols[s.after].before = c.place
			b.consider(c.place)
		}
		if s.before >= 0 {
			b.consider(s.before)
		}
	}
	for i := int32(0); i >= 0; i = b.symbols[i].after {
		b.ids = append(b.ids, b.symbols[i].id)
	}
	return b.ids
}

// consider adds the merging of the symbol at the place with the one after it.
func (b *builder) consider(place int32) {
	s := b.symbols[place]
	p := pair{s.id, b.symbols[s.after].id}
	m, ok := b.t.merges[p]
	if !ok {
		return
	}
	// A binary heap of its own: container/heap would allocate for each.
	b.heap = append(b.heap, candidate{m, place, p})
	for i := len(b.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !b.heap[i].before(b.heap[up]) {
			break
		}
		b.heap[i], b.heap[up] = b.heap[up], b.heap[i]
		i = up
	}
}

func (b *builder) pop() candidate {
	top, last := b.heap[0], len(b.heap)-1
	b.heap[0] = b.heap[last]
	b.heap = b.heap[:last]
	for i := 0; ; {
		least := i
		for _, down := range []int{2*i + 1, 2*i + 2} {
			if down < last && b.heap[down].before(b.heap[least]) {
				least = down
			}
		}
		if least == i {
			return top
		}
		b.heap[i], b.heap[least] = b.heap[least], b.heap[i]
		i = least
	}
}

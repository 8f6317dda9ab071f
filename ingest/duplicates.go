package ingest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/minhash"
	"github.com/irgdata/irgdata/internal/pdq"
)

// DuplicateOptions say which pairs are near-duplicates of one another.
type DuplicateOptions struct {
	// ImageDistance is the most bits, of 256, in which the PDQ hashes of two
	// images that look alike differ: 1 to 31. 0 compares no images.
	ImageDistance int
	// PromptSimilarity is the least similarity of two prompts that say the
	// same, as their signatures estimate it: 0.8 to 1. 0 compares no prompts.
	PromptSimilarity float64
}

// The defaults of [DuplicateOptions].
const (
	DefaultImageDistance    = 15
	DefaultPromptSimilarity = 0.9
)

// maxImageDistance is how far an index of 16 bands of 16 bits reaches when one
// bit of a band may differ.
const maxImageDistance = 31

// Validate reports the first mistake.
func (o DuplicateOptions) Validate() error {
	if o.ImageDistance < 0 || o.ImageDistance > maxImageDistance {
		return fmt.Errorf("the distance of similar images is %d: want a number of bits between 1 and %d, or 0 to compare no images", o.ImageDistance, maxImageDistance)
	}
	if o.PromptSimilarity != 0 && !(o.PromptSimilarity >= minhash.MinSimilarity && o.PromptSimilarity <= 1) {
		return fmt.Errorf("the similarity of prompts is %v: want a number between %v and 1, or 0 to compare no prompts", o.PromptSimilarity, minhash.MinSimilarity)
	}
	return nil
}

// Candidate is what is compared of a pair, and what says how it is preferred.
type Candidate struct {
	ID irgdata.Digest
	// Image and Quality are of [pdq.Hash]. Below a quality of 50 there is so
	// little to see that all such images look alike: they are compared with
	// none.
	Image   pdq.Hash256
	Quality int
	Prompt  minhash.Signature
	// Pixels is the size of the image.
	Pixels int64
	Rank   Rank
}

// Rank is what is preferred before everything else.
type Rank uint8

// The ranks, the least first.
const (
	// RankNew is that of pairs that are new.
	RankNew Rank = iota
	// RankPreferred is that of the pairs of the snapshot that is built upon.
	RankPreferred
	// RankRemoved is that of pairs that were removed from the dataset: they take
	// the place of those that are similar, so that these go too.
	RankRemoved
	numRanks
)

// leastQuality is that of images that are compared.
const leastQuality = 50

// Duplicates decides which pairs stay among those that are near-duplicates of
// one another. Candidates are added in any order, and have numbers from 0 on
// in the order of their arrival.
//
// The rule: the candidates are walked in the order of preference, which is
// those of higher rank first, then those of more pixels, then those of smaller ID.
// One stays unless one that stays already is similar to it, in image or in
// prompt. So no two that stay are similar, each that goes is similar to one
// that stays, and the order of arrival does not matter. Similarity is not passed
// on: what is similar only to one that goes, stays.
//
// The one that stays in another's place is the first of all that stay and are
// similar to it, by pixels and ID alone: a second run that prefers those that
// stayed in the first gives the same answers, word for word.
//
// The index finds every similar one; none is left to chance. It takes about 240
// bytes for each of a million candidates or more. Time grows with their number
// times that of those that share a part of their hashes, so with the square of
// the number where all prompts are of one template, or all images of one
// pattern. A Duplicates is used by one goroutine.
type Duplicates struct {
	o       DuplicateOptions
	bands   minhash.Bands
	ids     column[irgdata.Digest]
	images  column[pdq.Hash256]       // zero: not compared
	prompts column[minhash.Signature] // zero: not compared
	pixels  column[uint32]
	ranks   column[Rank]
}

// NewDuplicates decides by options that are valid.
func NewDuplicates(o DuplicateOptions) *Duplicates {
	return &Duplicates{o: o, bands: minhash.BandsFor(o.PromptSimilarity)}
}

// Add adds a candidate, at most 2³²-2 in all.
func (d *Duplicates) Add(c Candidate) {
	if d.o.ImageDistance == 0 || c.Quality < leastQuality {
		c.Image = pdq.Hash256{} // the hash of no image: half of the bits are ones
	}
	if d.o.PromptSimilarity == 0 {
		c.Prompt = minhash.Signature{}
	}
	d.ids.append(c.ID)
	d.images.append(c.Image)
	d.prompts.append(c.Prompt)
	d.pixels.append(uint32(min(max(c.Pixels, 0), math.MaxUint32))) // far more than an image may have
	d.ranks.append(c.Rank)
}

// Replacement says which pair stays in the place of one that goes.
type Replacement struct {
	By int            // the number of the one that stays
	ID irgdata.Digest // its ID
	// Kind is [SimilarImage] or [SimilarPrompt]; one that is similar in both is
	// a similar image.
	Kind string
	// Value is the number of bits in which the hashes of the images differ, or
	// the similarity of the prompts.
	Value float64
}

// The kinds of similarity.
const (
	SimilarImage  = "image"
	SimilarPrompt = "prompt"
)

// Decision says of each candidate whether it stays.
type Decision struct {
	of *Duplicates
	// A candidate's place is that in the order of pixels and ID. by is the place
	// of the one that stays instead, plus one; 0 when it stays itself.
	places  []uint32 // by number
	numbers []uint32 // by place
	by      []uint32 // by place
}

// Replaced reports whether the candidate of the given number goes, and which
// one stays in its place.
func (d *Decision) Replaced(number int) (r Replacement, goes bool) {
	a := d.places[number]
	if d.by[a] == 0 {
		return Replacement{}, false
	}
	b := d.by[a] - 1
	r = Replacement{By: int(d.numbers[b]), ID: *d.of.ids.at(b)}
	if distance, similar := d.of.similarImages(a, b); similar {
		r.Kind, r.Value = SimilarImage, float64(distance)
	} else {
		r.Kind, r.Value = SimilarPrompt, d.of.prompts.at(a).Similarity(*d.of.prompts.at(b))
	}
	return r, true
}

// similarImages returns the distance of two images, and whether they are
// similar.
func (d *Duplicates) similarImages(a, b uint32) (distance int, similar bool) {
	x, y := d.images.at(a), d.images.at(b)
	distance = x.Distance(*y)
	return distance, distance <= d.o.ImageDistance && *x != pdq.Hash256{} && *y != pdq.Hash256{}
}

// undecided marks a candidate that is similar to one before it in the walk, and
// so may go.
const undecided = math.MaxUint32

// Decide decides on the candidates that were added. It is called once, after
// the last of them. Only a cancelled context gives an error.
func (d *Duplicates) Decide(ctx context.Context) (*Decision, error) {
	numbers := d.sort()
	by := make([]uint32, len(numbers))
	steps := 0
	cancelled := func() bool {
		steps++
		return steps%1024 == 0 && ctx.Err() != nil
	}
	fail := func() (*Decision, error) { return nil, fmt.Errorf("find near-duplicates: %w", ctx.Err()) }

	// Those that are similar to none before them stay for certain, and the
	// others are similar to no such one that comes after them. So the walk can
	// begin with all of the former in the index.
	x := d.newIndex()
	if !x.suspect(by, cancelled) {
		return fail()
	}
	x.remove(func(place uint32) bool { return by[place] == undecided })
	for place := range d.walk() {
		if cancelled() {
			return fail()
		}
		if by[place] == undecided && x.find(place, true) == none {
			by[place] = 0
			x.put(place)
		}
	}
	// Only now it is known which stay, and so which is the first of them.
	x.sort()
	for place := range by {
		if by[place] == undecided {
			if cancelled() {
				return fail()
			}
			by[place] = x.find(uint32(place), false) + 1
		}
	}
	places := make([]uint32, len(numbers))
	for place, number := range numbers {
		places[number] = uint32(place)
	}
	return &Decision{of: d, places: places, numbers: numbers, by: by}, nil
}

// walk yields the places in the order of preference.
func (d *Duplicates) walk() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range numRanks {
			rank := numRanks - 1 - i
			for place := range uint32(d.ranks.len()) {
				if *d.ranks.at(place) == rank && !yield(place) {
					return
				}
			}
		}
	}
}

// sort brings the candidates into the order of pixels, most first, and ID. It
// returns their numbers.
func (d *Duplicates) sort() []uint32 {
	type key struct {
		id     uint64 // its first bytes, which decide nearly always
		pixels uint32
		number uint32
	}
	keys := make([]key, d.ids.len())
	for i := range keys {
		number := uint32(i)
		keys[i] = key{binary.BigEndian.Uint64(d.ids.at(number)[:]), *d.pixels.at(number), number}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if c := cmp.Or(cmp.Compare(b.pixels, a.pixels), cmp.Compare(a.id, b.id)); c != 0 {
			return c
		}
		return bytes.Compare(d.ids.at(a.number)[:], d.ids.at(b.number)[:])
	})
	numbers := make([]uint32, len(keys))
	for place, k := range keys {
		numbers[place] = k.number
	}
	d.ids, d.images, d.prompts = d.ids.ordered(numbers), d.images.ordered(numbers), d.prompts.ordered(numbers)
	d.pixels, d.ranks = d.pixels.ordered(numbers), d.ranks.ordered(numbers)
	return numbers
}

// index finds candidates that are similar to one, among those that were put
// into it. It cuts the hashes into bands and has a table for each band, so that
// similar hashes meet in one table at least: multi-index hashing (Norouzi,
// Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing",
// CVPR 2012). Of the 16 bands of two image hashes that differ in up to 15 bits
// one is equal, and in up to 31 bits one differs in a single bit or none;
// [minhash.Bands] says the same of prompts.
type index struct {
	*Duplicates
	imageTables, promptTables []table
}

const (
	imageBands = 16
	bandBits   = 16
)

// imageBand is a part of an image's hash.
func imageBand(h *pdq.Hash256, i int) uint64 {
	return h[i/4] >> (bandBits * (i % 4)) & (1<<bandBits - 1)
}

// newIndex has all candidates in it, in the order of the walk.
func (d *Duplicates) newIndex() *index {
	x := &index{Duplicates: d}
	if d.o.ImageDistance > 0 {
		for i := range imageBands {
			x.imageTables = append(x.imageTables, newTable(d.ids.len(), d.walk(), bandBits, func(place uint32) (uint64, bool) {
				h := d.images.at(place)
				return imageBand(h, i), *h != pdq.Hash256{}
			}))
		}
	}
	if d.o.PromptSimilarity > 0 {
		for i := range d.bands.Len() {
			x.promptTables = append(x.promptTables, newTable(d.ids.len(), d.walk(), 64, func(place uint32) (uint64, bool) {
				s := d.prompts.at(place)
				return d.bands.Key(*s, i), !s.IsZero()
			}))
		}
	}
	return x
}

// suspect marks as undecided the candidates that are similar to one before
// them. All are in the index, in order. It reports false when it was cancelled.
//
// It compares within each slot, copied into one piece: looking up one candidate
// after the other waits for memory at each comparison.
func (x *index) suspect(by []uint32, cancelled func() bool) bool {
	if x.o.ImageDistance >= imageBands { // similar images need not meet in a slot
		for place := range by {
			by[place] = undecided
		}
		return true
	}
	var hashes []pdq.Hash256
	for _, t := range x.imageTables {
		for slot := range t.slots() {
			hashes = hashes[:0]
			for _, entry := range slot {
				if cancelled() {
					return false
				}
				h := *x.images.at(entry - 1)
				if by[entry-1] != undecided && slices.ContainsFunc(hashes, func(before pdq.Hash256) bool { return h.Distance(before) <= x.o.ImageDistance }) {
					by[entry-1] = undecided
				}
				hashes = append(hashes, h)
			}
		}
	}
	var signatures []minhash.Signature
	for _, t := range x.promptTables {
		for slot := range t.slots() {
			signatures = signatures[:0]
			for _, entry := range slot {
				if cancelled() {
					return false
				}
				s := *x.prompts.at(entry - 1)
				if by[entry-1] != undecided && slices.ContainsFunc(signatures, func(before minhash.Signature) bool { return x.bands.Similar(s, before) }) {
					by[entry-1] = undecided
				}
				signatures = append(signatures, s)
			}
		}
	}
	return true
}

// remove takes candidates out of the index.
func (x *index) remove(which func(place uint32) bool) {
	for _, tables := range [][]table{x.imageTables, x.promptTables} {
		for _, t := range tables {
			for slot := range t.slots() {
				kept := slices.DeleteFunc(slot, func(entry uint32) bool { return which(entry - 1) })
				clear(slot[len(kept):])
			}
		}
	}
}

// put puts a candidate back that was removed.
func (x *index) put(place uint32) {
	if h := x.images.at(place); *h != (pdq.Hash256{}) {
		for i, t := range x.imageTables {
			t.put(imageBand(h, i), place)
		}
	}
	if s := x.prompts.at(place); !s.IsZero() {
		for i, t := range x.promptTables {
			t.put(x.bands.Key(*s, i), place)
		}
	}
}

// sort brings those in each slot into the order of their places.
func (x *index) sort() {
	for _, tables := range [][]table{x.imageTables, x.promptTables} {
		for _, t := range tables {
			for slot := range t.slots() {
				if end := slices.Index(slot, 0); end >= 0 {
					slot = slot[:end]
				}
				slices.Sort(slot)
			}
		}
	}
}

// none is no place.
const none = math.MaxUint32

// find returns the place of any candidate in the index that is similar to the
// given one, or else of the first of them, which needs a sorted index; none if
// there is none.
func (x *index) find(place uint32, any bool) (found uint32) {
	found = none
	// in looks into a slot, and reports whether there is no need to look on.
	in := func(slot []uint32, similar func(other uint32) bool) bool {
		for _, entry := range slot {
			if entry == 0 || entry-1 >= found {
				return false
			}
			if similar(entry - 1) {
				found = entry - 1
				return any
			}
		}
		return false
	}
	if h := *x.images.at(place); h != (pdq.Hash256{}) {
		similar := func(other uint32) bool { return h.Distance(*x.images.at(other)) <= x.o.ImageDistance }
		for i, t := range x.imageTables {
			key := imageBand(&h, i)
			if in(t.slot(key), similar) {
				return found
			}
			if x.o.ImageDistance < imageBands {
				continue
			}
			for bit := range bandBits {
				if in(t.slot(key^1<<bit), similar) {
					return found
				}
			}
		}
	}
	if s := *x.prompts.at(place); !s.IsZero() {
		similar := func(other uint32) bool { return x.bands.Similar(s, *x.prompts.at(other)) }
		for i, t := range x.promptTables {
			if in(t.slot(x.bands.Key(s, i)), similar) {
				return found
			}
		}
	}
	return found
}

// table holds numbers under keys. Numbers whose keys fall into the same slot
// lie in one piece; a slot has the numbers plus one, and zeros where some were
// taken out.
type table struct {
	starts  []uint32 // of the slots, and the end of the last
	entries []uint32
	shift   int
}

// newTable holds the numbers 0 to n-1, in the given order, under the keys of so
// many bits that key gives for those that have one. In a slot there are 8 to 16
// numbers by accident, or as many as have the same key.
func newTable(n int, order iter.Seq[uint32], keyBits int, key func(uint32) (uint64, bool)) table {
	slotBits := min(bits.Len(uint(n/16)), keyBits+1)
	t := table{starts: make([]uint32, 1<<slotBits+1), shift: 64 - slotBits}
	for i := range order {
		if k, ok := key(i); ok {
			t.starts[t.slotOf(k)+1]++
		}
	}
	for i := range len(t.starts) - 1 {
		t.starts[i+1] += t.starts[i]
	}
	t.entries = make([]uint32, t.starts[len(t.starts)-1])
	next := slices.Clone(t.starts)
	for i := range order {
		if k, ok := key(i); ok {
			slot := t.slotOf(k)
			t.entries[next[slot]] = i + 1
			next[slot]++
		}
	}
	return t
}

// slotOf spreads the keys over the slots.
func (t table) slotOf(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> t.shift }

func (t table) slot(key uint64) []uint32 {
	i := t.slotOf(key)
	return t.entries[t.starts[i]:t.starts[i+1]]
}

// slots yields all slots.
func (t table) slots() iter.Seq[[]uint32] {
	return func(yield func([]uint32) bool) {
		for i, start := range t.starts[:len(t.starts)-1] {
			if !yield(t.entries[start:t.starts[i+1]]) {
				return
			}
		}
	}
}

// put puts a number back that was taken out.
func (t table) put(key uint64, i uint32) {
	slot := t.slot(key)
	slot[slices.Index(slot, 0)] = i + 1
}

// column is a list that grows without being copied.
type column[T any] struct{ chunks [][]T }

const chunkLen = 1 << 14

func (c *column[T]) append(v T) {
	last := len(c.chunks) - 1
	switch {
	case last < 0: // it may stay small
		c.chunks = [][]T{nil}
		last++
	case len(c.chunks[last]) == chunkLen:
		c.chunks = append(c.chunks, make([]T, 0, chunkLen))
		last++
	}
	c.chunks[last] = append(c.chunks[last], v)
}

func (c *column[T]) len() int {
	if len(c.chunks) == 0 {
		return 0
	}
	last := len(c.chunks) - 1
	return last*chunkLen + len(c.chunks[last])
}

func (c *column[T]) at(i uint32) *T { return &c.chunks[i/chunkLen][i%chunkLen] }

// ordered returns the elements in the given order.
func (c *column[T]) ordered(order []uint32) (out column[T]) {
	for _, i := range order {
		out.append(*c.at(i))
	}
	return out
}

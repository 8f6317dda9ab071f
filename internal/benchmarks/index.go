package benchmarks

import (
	"cmp"
	"iter"
	"slices"
)

const (
	// run is the number of words of the runs that are compared.
	run = 5
	// leastContent is the number of content words that an item needs to be
	// looked for within other prompts: less is a phrase of everyday captions.
	// Such an item has at least a run of words.
	leastContent = 5
)

// index is an inverted index of the items' runs of words. How run and
// leastContent were chosen is in docs/benchmark-prompts.md.
type index struct {
	vocabulary map[string]uint32 // words of the items, numbered from 1
	runs       map[uint64]uint32 // hashed run to its number
	starts     []uint32          // where a run's part of holders begins
	holders    []uint32          // items that have the run, ascending
	totals     []uint32          // different runs of each item; 0: it is not looked for
}

// newIndex indexes items by their words.
func newIndex(items [][]string) *index {
	x := &index{vocabulary: map[string]uint32{}, runs: map[uint64]uint32{}, totals: make([]uint32, len(items))}
	type entry struct {
		hash uint64
		item uint32
	}
	var entries []entry
	for i, words := range items {
		if contentWords(words) < leastContent {
			continue
		}
		for _, w := range words {
			if x.vocabulary[w] == 0 {
				x.vocabulary[w] = uint32(len(x.vocabulary)) + 1
			}
		}
		for h := range hashes(x.numbers(words)) {
			entries = append(entries, entry{h, uint32(i)})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.item, b.item)) })
	entries = slices.Compact(entries)
	for i, e := range entries {
		if i == 0 || e.hash != entries[i-1].hash {
			x.runs[e.hash] = uint32(len(x.starts))
			x.starts = append(x.starts, uint32(i))
		}
		x.holders = append(x.holders, e.item)
		x.totals[e.item]++
	}
	x.starts = append(x.starts, uint32(len(entries)))
	return x
}

// numbers returns the numbers of words; 0 for one that no item has.
func (x *index) numbers(words []string) []uint32 {
	out := make([]uint32, len(words))
	for i, w := range words {
		out[i] = x.vocabulary[w]
	}
	return out
}

// hashes yields the hash of each run of words without one that no item has.
func hashes(numbers []uint32) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		known := 0 // words up to here
		for i, number := range numbers {
			if known++; number == 0 {
				known = 0
			}
			if known < run {
				continue
			}
			h := uint64(0)
			for _, number := range numbers[i+1-run : i+1] {
				h = (h ^ uint64(number)) * 0x9e3779b97f4a7c15
				h ^= h >> 29
			}
			if !yield(h) {
				return
			}
		}
	}
}

// best returns the item of whose runs the greatest part is in the words, and
// that part; of several the first one. The part is 0 if there is none.
func (x *index) best(words []string) (item int, part float64) {
	var found []uint32
	for h := range hashes(x.numbers(words)) {
		if r, ok := x.runs[h]; ok {
			found = append(found, r)
		}
	}
	if found == nil {
		return 0, 0
	}
	slices.Sort(found)
	var holders []uint32
	for _, r := range slices.Compact(found) { // a run that is there twice counts once
		holders = append(holders, x.holders[x.starts[r]:x.starts[r+1]]...)
	}
	slices.Sort(holders)
	for i := 0; i < len(holders); {
		n := 1
		for i+n < len(holders) && holders[i+n] == holders[i] {
			n++
		}
		if p := float64(n) / float64(x.totals[holders[i]]); p > part {
			item, part = int(holders[i]), p
		}
		i += n
	}
	return item, part
}

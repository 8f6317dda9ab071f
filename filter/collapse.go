package filter

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// endWords is the number of words that are compared at a text's two ends.
const endWords = 5

// Frequent is an opening or ending that many texts share.
type Frequent struct {
	Words string
	// Share is that of the texts that have it, from 0 to 1; at most [Collapse]'s
	// error too small.
	Share float64
}

// Templates says how far the texts of a dataset are made by one pattern.
type Templates struct {
	// Texts is the number of texts that were seen.
	Texts int
	// Openings and Endings are shared by more than the given share of the texts,
	// most frequent first.
	Openings, Endings []Frequent
}

// Opened and Ended are the shares of the texts that begin or end like so many
// others, from 0 to 1. A dataset of a good model has 0 to a few hundredths;
// near 1 it teaches one sentence.
func (t Templates) Opened() float64 { return total(t.Openings) }

// Ended is described at [Templates.Opened].
func (t Templates) Ended() float64 { return total(t.Endings) }

func total(all []Frequent) (share float64) {
	for _, f := range all {
		share += f.Share
	}
	return share
}

// Collapse looks for openings and endings of five words that more than the
// share over of the texts have; case and punctuation do not matter. It holds at
// most 16/over of them at a time (Misra and Gries, "Finding repeated elements",
// 1982), whatever the number of texts, so a share may come out too small by
// over/16, and one that close above over may be missed. Shorter texts count
// with the words they have. It panics unless 0 < over ≤ 1.
func Collapse(texts iter.Seq[string], over float64) Templates {
	if !(over > 0 && over <= 1) {
		panic("filter: Collapse wants a share above 0, at most 1")
	}
	size := int(16 / over)
	openings, endings := newHitters(size), newHitters(size)
	t := Templates{}
	for text := range texts {
		t.Texts++
		w := words(body(text))
		if len(w) == 0 {
			continue
		}
		n := min(endWords, len(w))
		openings.add(strings.Join(w[:n], " "))
		endings.add(strings.Join(w[len(w)-n:], " "))
	}
	t.Openings, t.Endings = openings.over(over, t.Texts), endings.over(over, t.Texts)
	return t
}

// hitters counts the frequent ones among many strings.
type hitters struct {
	size   int
	counts map[string]int
}

func newHitters(size int) *hitters { return &hitters{size, map[string]int{}} }

// add counts s. When there is no room for a new string all counts sink by one,
// which is paid for by as many calls that raised them.
func (h *hitters) add(s string) {
	if _, known := h.counts[s]; known || len(h.counts) < h.size {
		h.counts[s]++
		return
	}
	for other, n := range h.counts {
		if n == 1 {
			delete(h.counts, other)
		} else {
			h.counts[other] = n - 1
		}
	}
}

func (h *hitters) over(share float64, texts int) (out []Frequent) {
	for s, n := range h.counts {
		if f := float64(n) / float64(texts); f > share {
			out = append(out, Frequent{s, f})
		}
	}
	slices.SortFunc(out, func(a, b Frequent) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.Words, b.Words))
	})
	return out
}

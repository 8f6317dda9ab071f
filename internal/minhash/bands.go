package minhash

// Bands cut signatures into parts such that two signatures that are similar
// enough have at least one part in common: an index of the parts finds every
// one of them. (By the pigeonhole principle: with one part more than positions
// that may differ, one is left without a difference.)
type Bands struct {
	differences int // that similar signatures may have
	width       int // positions of a band
}

// MinSimilarity is the least similarity that [BandsFor] takes. With the shorter
// bands of a lesser one, most prompts of one style share a band.
const MinSimilarity = 0.8

// BandsFor returns the bands for signatures whose similarity is at least the
// given one, of [MinSimilarity] to 1.
func BandsFor(least float64) Bands {
	n := 0
	for n+1 < positions && similarity(n+1) >= least {
		n++
	}
	return Bands{differences: n, width: min(positions/(n+1), perWord)}
}

// Len is the number of bands: 10 for a similarity of 0.9.
func (b Bands) Len() int { return b.differences + 1 }

// Similar reports whether the signatures have at least the similarity of the
// bands.
func (b Bands) Similar(s, t Signature) bool {
	return s.Differences(t) <= b.differences && !s.IsZero() && !t.IsZero()
}

// Key is the part of s in band i, of 0 to Len()-1.
func (b Bands) Key(s Signature, i int) uint64 {
	at := i * b.width
	shift := 4 * (at % perWord)
	key := s[at/perWord] >> shift
	if at/perWord+1 < len(s) && shift > 0 {
		key |= s[at/perWord+1] << (64 - shift)
	}
	return key & (1<<(4*b.width) - 1)
}

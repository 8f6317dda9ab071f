package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/minhash"
	"github.com/irgdata/irgdata/internal/pdq"
)

// randomHash is the hash of a picture that is like no other.
func randomHash(r *rand.Rand) pdq.Hash256 {
	return pdq.Hash256{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
}

// randomSignature is of a prompt that is like no other.
func randomSignature(r *rand.Rand) (s minhash.Signature) {
	for i := range s {
		s[i] = r.Uint64()
	}
	return s
}

// nearHash differs from h in n bits.
func nearHash(r *rand.Rand, h pdq.Hash256, n int) pdq.Hash256 {
	for _, bit := range r.Perm(256)[:n] {
		h[bit/64] ^= 1 << (bit % 64)
	}
	return h
}

// nearSignature differs from s in n of its 96 positions.
func nearSignature(r *rand.Rand, s minhash.Signature, n int) minhash.Signature {
	for _, at := range r.Perm(96)[:n] {
		s[at/16] ^= uint64(1+r.IntN(15)) << (4 * (at % 16))
	}
	return s
}

func randomID(r *rand.Rand) (d irgdata.Digest) {
	for i := range d {
		d[i] = byte(r.Uint32())
	}
	return d
}

// randomCandidates are n candidates, most of them near others, at distances
// around those that matter.
func randomCandidates(r *rand.Rand, n int) []Candidate {
	hashes, signatures := []pdq.Hash256{}, []minhash.Signature{{}} // one prompt without words
	for range 1 + n/8 {
		hashes = append(hashes, randomHash(r))
		signatures = append(signatures, randomSignature(r))
	}
	candidates := make([]Candidate, n)
	for i := range candidates {
		candidates[i] = Candidate{
			ID:      randomID(r),
			Image:   nearHash(r, hashes[r.IntN(len(hashes))], r.IntN(24)),
			Quality: 40 + r.IntN(60),
			Prompt:  signatures[r.IntN(len(signatures))],
			Pixels:  int64(1 + r.IntN(3)),
			Rank:    Rank(r.IntN(int(numRanks))),
		}
		if !candidates[i].Prompt.IsZero() {
			candidates[i].Prompt = nearSignature(r, candidates[i].Prompt, r.IntN(14))
		}
		if r.IntN(2) == 0 { // compared by one of the two alone
			candidates[i].Prompt = randomSignature(r)
		}
		if i > 0 && r.IntN(4) == 0 { // IDs that begin alike
			copy(candidates[i].ID[:12], candidates[i-1].ID[:])
		}
	}
	return candidates
}

// answer is a decision on a candidate, without its number.
type answer struct {
	Goes  bool
	By    irgdata.Digest
	Kind  string
	Value float64
}

// decide gives the answers by ID.
func decide(t testing.TB, o DuplicateOptions, candidates []Candidate) map[irgdata.Digest]answer {
	t.Helper()
	d := NewDuplicates(o)
	for _, c := range candidates {
		d.Add(c)
	}
	decision, err := d.Decide(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers := map[irgdata.Digest]answer{}
	for number, c := range candidates {
		r, goes := decision.Replaced(number)
		if goes && candidates[r.By].ID != r.ID {
			t.Errorf("number %d is not %s", r.By, r.ID)
		}
		answers[c.ID] = answer{goes, r.ID, r.Kind, r.Value}
	}
	return answers
}

// bruteForce is the rule, word for word.
func bruteForce(o DuplicateOptions, candidates []Candidate) map[irgdata.Digest]answer {
	similar := func(a, b Candidate) (answer, bool) {
		if d := a.Image.Distance(b.Image); o.ImageDistance > 0 && a.Quality >= 50 && b.Quality >= 50 && d <= o.ImageDistance {
			return answer{true, b.ID, "image", float64(d)}, true
		}
		if s := a.Prompt.Similarity(b.Prompt); o.PromptSimilarity > 0 && s >= o.PromptSimilarity {
			return answer{true, b.ID, "prompt", s}, true
		}
		return answer{}, false
	}
	order := slices.Clone(candidates)
	slices.SortFunc(order, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Pixels, a.Pixels), bytes.Compare(a.ID[:], b.ID[:]))
	})
	stays := map[irgdata.Digest]bool{}
	for _, rank := range []Rank{RankRemoved, RankPreferred, RankNew} {
		for _, c := range order {
			if c.Rank == rank {
				stays[c.ID] = !slices.ContainsFunc(order, func(other Candidate) bool {
					_, yes := similar(c, other)
					return yes && stays[other.ID]
				})
			}
		}
	}
	answers := map[irgdata.Digest]answer{}
	for _, c := range order {
		answers[c.ID] = answer{}
		for _, other := range order {
			if a, yes := similar(c, other); yes && !stays[c.ID] && stays[other.ID] {
				answers[c.ID] = a
				break
			}
		}
	}
	return answers
}

// TestDuplicates: whatever the order of arrival, the answers are those of the
// rule; and a run that prefers those that stayed repeats them.
func TestDuplicates(t *testing.T) {
	for _, o := range []DuplicateOptions{
		{},
		{ImageDistance: DefaultImageDistance, PromptSimilarity: DefaultPromptSimilarity},
		{ImageDistance: 1},
		{ImageDistance: 16},
		{ImageDistance: maxImageDistance, PromptSimilarity: minhash.MinSimilarity},
		{PromptSimilarity: 0.95},
		{PromptSimilarity: 1},
	} {
		if err := o.Validate(); err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 0))
			n := 1 + r.IntN(100)
			if seed == 0 {
				n = 800
			}
			candidates := randomCandidates(r, n)
			want := bruteForce(o, candidates)
			for range 3 {
				if diff := gocmp.Diff(want, decide(t, o, candidates)); diff != "" {
					t.Fatalf("%+v, seed %d: %s", o, seed, diff)
				}
				r.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
			}
			for i, c := range candidates {
				kinds[want[c.ID].Kind]++
				if c.Rank != RankRemoved {
					candidates[i].Rank = RankNew
					if !want[c.ID].Goes {
						candidates[i].Rank = RankPreferred
					}
				}
			}
			if diff := gocmp.Diff(want, decide(t, o, candidates)); diff != "" {
				t.Fatalf("%+v, seed %d, the second run: %s", o, seed, diff)
			}
		}
		if (kinds[SimilarImage] > 0) != (o.ImageDistance > 0) || (kinds[SimilarPrompt] > 0) != (o.PromptSimilarity > 0) || kinds[""] == 0 {
			t.Errorf("%+v: reasons %v", o, kinds)
		}
	}
}

// TestDuplicatesRule shows the rule at small examples.
func TestDuplicatesRule(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	h, far := randomHash(r), randomHash(r)
	s := randomSignature(r)
	id := func(b byte) irgdata.Digest { return irgdata.Digest{b} }
	near := nearHash(r, h, 10)
	beyond := near
	for n, bit := 0, 0; n < 10; bit++ { // 20 bits from h, 10 from near
		if (h[bit/64]^near[bit/64])>>(bit%64)&1 == 0 {
			beyond[bit/64] ^= 1 << (bit % 64)
			n++
		}
	}
	for name, c := range map[string]struct {
		candidates []Candidate
		want       []string
	}{
		"more pixels stay": {
			[]Candidate{{ID: id(1), Image: h, Quality: 100, Pixels: 10}, {ID: id(2), Image: near, Quality: 100, Pixels: 20}},
			[]string{"image 10 of 1", "stays"},
		},
		"of equal size the smaller ID stays": {
			[]Candidate{{ID: id(2), Image: h, Quality: 100, Pixels: 10}, {ID: id(1), Image: near, Quality: 100, Pixels: 10}},
			[]string{"image 10 of 1", "stays"},
		},
		"what was there before stays": {
			[]Candidate{{ID: id(1), Image: h, Quality: 100, Pixels: 10, Rank: RankPreferred}, {ID: id(2), Image: near, Quality: 100, Pixels: 20}},
			[]string{"stays", "image 10 of 0"},
		},
		"similarity is not passed on": {
			[]Candidate{{ID: id(1), Image: h, Quality: 100, Pixels: 30}, {ID: id(2), Image: near, Quality: 100, Pixels: 20}, {ID: id(3), Image: beyond, Quality: 100, Pixels: 10}},
			[]string{"stays", "image 10 of 0", "stays"},
		},
		"the reason is the largest, not the preferred": {
			[]Candidate{{ID: id(1), Image: near, Quality: 100, Pixels: 5, Rank: RankPreferred}, {ID: id(2), Image: h, Prompt: s, Quality: 100, Pixels: 5, Rank: RankPreferred}, {ID: id(3), Image: far, Prompt: s, Quality: 100, Pixels: 20}},
			[]string{"stays", "prompt 1 of 2", "stays"},
		},
		"flat images are like none": {
			[]Candidate{{ID: id(1), Image: h, Quality: 49}, {ID: id(2), Image: h, Quality: 100}, {ID: id(3), Image: h, Quality: 0}},
			[]string{"stays", "stays", "stays"},
		},
		"prompts without words are like none": {
			[]Candidate{{ID: id(1)}, {ID: id(2)}},
			[]string{"stays", "stays"},
		},
		"nothing": {nil, nil},
	} {
		d := NewDuplicates(DuplicateOptions{ImageDistance: DefaultImageDistance, PromptSimilarity: DefaultPromptSimilarity})
		for _, c := range c.candidates {
			d.Add(c)
		}
		decision, err := d.Decide(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range c.candidates {
			if x, goes := decision.Replaced(i); goes {
				got = append(got, fmt.Sprintf("%s %v of %d", x.Kind, x.Value, x.By))
			} else {
				got = append(got, "stays")
			}
		}
		if diff := gocmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDuplicateOptions(t *testing.T) {
	for _, o := range []DuplicateOptions{{ImageDistance: -1}, {ImageDistance: 32}, {PromptSimilarity: 0.79}, {PromptSimilarity: 1.1}, {PromptSimilarity: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}

func TestDuplicatesCancelled(t *testing.T) {
	d := NewDuplicates(DuplicateOptions{ImageDistance: DefaultImageDistance})
	for range 2000 {
		d.Add(Candidate{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Decide(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// addRandom adds n candidates, of which one in twenty is near another one.
func addRandom(d *Duplicates, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	var c Candidate
	for i := range n {
		if i%20 == 1 {
			c.ID, c.Image = randomID(r), nearHash(r, c.Image, 8)
		} else {
			c = Candidate{ID: randomID(r), Image: randomHash(r), Prompt: randomSignature(r), Quality: 100, Pixels: int64(r.IntN(1 << 20))}
		}
		d.Add(c)
	}
}

// TestManyDuplicates: what is found among few is found among many.
func TestManyDuplicates(t *testing.T) {
	const n = chunkLen + 2000
	d := NewDuplicates(DuplicateOptions{ImageDistance: DefaultImageDistance, PromptSimilarity: DefaultPromptSimilarity})
	addRandom(d, n)
	decision, err := d.Decide(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		r, goes := decision.Replaced(i)
		switch {
		case i%20 > 1 && goes:
			t.Errorf("%d is like none, and goes for %d", i, r.By)
		case i%20 == 1:
			other, otherGoes := decision.Replaced(i - 1)
			if goes == otherGoes || goes && r.By != i-1 || otherGoes && other.By != i {
				t.Errorf("of %d and %d not one goes for the other: %+v, %+v", i-1, i, other, r)
			}
		}
	}
}

// BenchmarkDuplicatesAdd measures what it takes to hold a candidate.
func BenchmarkDuplicatesAdd(b *testing.B) {
	d := NewDuplicates(DuplicateOptions{ImageDistance: DefaultImageDistance, PromptSimilarity: DefaultPromptSimilarity})
	r := rand.New(rand.NewPCG(1, 2))
	c := Candidate{ID: randomID(r), Image: randomHash(r), Prompt: randomSignature(r), Quality: 100, Pixels: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		d.Add(c)
	}
}

// BenchmarkDuplicatesDecide measures the decision for each candidate, and the
// memory that is held for each at the end of it.
func BenchmarkDuplicatesDecide(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("candidates=%d", n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for b.Loop() {
				b.StopTimer()
				d := NewDuplicates(DuplicateOptions{ImageDistance: DefaultImageDistance, PromptSimilarity: DefaultPromptSimilarity})
				addRandom(d, n)
				b.StartTimer()
				decision, err := d.Decide(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				goes := 0
				for i := range n {
					if _, yes := decision.Replaced(i); yes {
						goes++
					}
				}
				if goes != n/20 {
					b.Fatalf("%d go", goes)
				}
				if after.HeapAlloc == 0 { // what Decide holds in the end, with the index that it has dropped since
					x := d.newIndex()
					runtime.GC()
					runtime.ReadMemStats(&after)
					runtime.KeepAlive(x)
					runtime.KeepAlive(decision)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/candidate")
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/float64(n), "ns/candidate")
		})
	}
}

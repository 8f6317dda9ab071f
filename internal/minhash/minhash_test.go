package minhash

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPairs: what a reader takes for the same prompt is similar, what asks for
// another picture is not.
func TestPairs(t *testing.T) {
	const long = "An oil painting of a fishing village at dusk, small wooden boats lie on the wet sand, lanterns glow in the windows, and a grey cat sleeps on a coil of rope in the foreground"
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"a large red circle", "a large red circle", true},
		{"a large red circle", "A Large RED Circle", true},
		{"a large red circle", "a large red circle.", true},
		{"a large red circle", "  a large\tred \n\n circle ", true},
		{"a large, red circle", "a large red circle", true},
		{"a large red circle", "“a large red circle!”", true},
		{"a black-and-white photo", "a black and white photo", true},
		{"ｆｕｌｌ　ｗｉｄｔｈ", "full width", true},
		{"the ﬁsh in the oﬃce", "the fish in the office", true},
		{"cafe\u0301 at night", "café at night", true},
		{"STRASSE IM REGEN", "Straße im Regen", true},
		{"ΟΔΥΣΣΕΥΣ", "οδυσσευς", true},
		{"zero\u200bwidth soft\u00adhyphen", "zerowidth softhyphen", true},
		{"a cat 😀", "a cat 😀 ", true},
		{"I ❤\ufe0f cats", "i ❤ cats", true},
		{"一只红色的猫坐在窗台上", "一只红色的猫坐在窗台上。", true},
		{"赤い猫 が窓に座っている", "赤い猫が窓に座っている", true},
		{"ﾊﾝﾊﾞｰｶﾞｰ", "ハンバーガー", true},
		{long, strings.ToUpper(long) + "!!!", true},

		{"a large red circle", "a large blue circle", false},
		{"a large red circle", "a large red square", false},
		{"a large red circle", "a red circle", false},
		{"two dogs", "three dogs", false},
		{"a man bites a dog", "a dog bites a man", false},
		{"a cat 😀", "a cat 😡", false},
		{"a cat 😀", "a cat", false},
		{"一只红色的猫坐在窗台上", "一只黑色的狗坐在窗台上", false},
		{"赤い猫が窓に座っている", "青い鳥が窓に座っている", false},
		{"แมวสีแดงนั่งอยู่บนหน้าต่าง", "สุนัขสีดำนอนอยู่บนพื้น", false},
		{long, strings.NewReplacer("dusk", "dawn", "grey cat", "brown dog", "boats", "huts").Replace(long), false},
		{"", "", false},
		{"", "a", false},
		{"...", "!?", false},
	} {
		a, b := Of(c.a), Of(c.b)
		s := a.Similarity(b)
		if (s >= 0.9) != c.same {
			t.Errorf("%q and %q have similarity %.2f", c.a, c.b, s)
		}
		if s != b.Similarity(a) || (BandsFor(0.9).Similar(a, b)) != c.same {
			t.Errorf("%q and %q: the order matters, or the bands say something else", c.a, c.b)
		}
	}
}

func TestWords(t *testing.T) {
	for prompt, want := range map[string]string{
		"A red, RED circle!":     "a|red|red|circle",
		"don’t 3.5 m²":           "don|t|3|5|m2",
		"猫とcat、コーヒー":             "猫*|と*|cat|コ*|ー*|ヒ*|ー*",
		"👨‍👩‍👧 on 1\ufe0f\u20e3": "👨|👩|👧|on|1\u20e3",
		"हिन्दी में":             "हिन्दी|में",
		"broken \xff\xfe":        "broken|\ufffd|\ufffd",
		" \n ":                   "",
	} {
		var got []string
		for _, w := range words(prompt) {
			got = append(got, w.text+map[bool]string{true: "*"}[w.character])
		}
		if diff := cmp.Diff(want, strings.Join(got, "|")); diff != "" {
			t.Errorf("%q: %s", prompt, diff)
		}
	}
}

// TestStable: the signature of a prompt is the same on every machine.
func TestStable(t *testing.T) {
	got := fmt.Sprintf("%016x", Of("A large red circle, 日本 and a café."))
	want := "[0157688d13d8919c e7553d770f2fc25d 9ffca84033a67807 c0841869e0379cda a23c07f386247e39 3b718e62eb11be21]"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// text is a random text of n words, of which the frequent ones are frequent.
func text(r *rand.Rand, n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", int(math.Exp(r.Float64()*9)))
	}
	return words
}

// changed is the text with some of its words replaced.
func changed(r *rand.Rand, words []string, part float64) []string {
	words = slices.Clone(words)
	for i := range words {
		if r.Float64() < part {
			words[i] = fmt.Sprintf("x%d", r.IntN(10_000))
		}
	}
	return words
}

// jaccard is the similarity that signatures estimate.
func jaccard(a, b string) float64 {
	set, both := map[uint64]int{}, 0
	for _, h := range shingles(a) {
		set[h] = 1
	}
	for _, h := range shingles(b) {
		if set[h] == 1 {
			both++
		}
		set[h] |= 2
	}
	return float64(both) / float64(len(set))
}

// TestError: estimates have the error that theory gives them, on texts of 3 to
// 80 words.
func TestError(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type bin struct{ n, sum, squares, variance float64 }
	var bins [10]bin
	for range 6_000 {
		a := text(r, 3+r.IntN(78))
		b := changed(r, a, r.Float64()*r.Float64())
		one, other := strings.Join(a, " "), strings.Join(b, " ")
		exact := jaccard(one, other)
		err := Of(one).Similarity(Of(other)) - exact
		agree := exact + (1-exact)/16 // of a position
		x := &bins[min(int(exact*10), 9)]
		x.n++
		x.sum += err
		x.squares += err * err
		x.variance += agree * (1 - agree) / positions * 16 / 15 * 16 / 15
	}
	for i, x := range bins {
		mean, deviation, theory := x.sum/x.n, math.Sqrt(x.squares/x.n), math.Sqrt(x.variance/x.n)
		t.Logf("similarity %.1f to %.1f: %5.0f pairs, mean error %+.4f, standard error %.4f, in theory %.4f", float64(i)/10, float64(i+1)/10, x.n, mean, deviation, theory)
		if x.n < 100 || math.Abs(mean) > 0.01 || deviation > theory*1.15 {
			t.Errorf("similarity %.1f to %.1f: %.0f pairs, mean error %+.4f, standard error %.4f, in theory %.4f", float64(i)/10, float64(i+1)/10, x.n, mean, deviation, theory)
		}
	}
}

// TestBands: signatures that are as similar as asked have a band in common,
// without exception; those that have nothing to do with one another, hardly.
func TestBands(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	random := func() (s Signature) {
		for i := range s {
			s[i] = r.Uint64()
		}
		return s
	}
	for _, least := range []float64{MinSimilarity, 0.85, 0.9, 0.95, 0.99, 1} {
		bands := BandsFor(least)
		shared := func(s, t Signature) (n int) {
			for i := range bands.Len() {
				if bands.Key(s, i) == bands.Key(t, i) {
					n++
				}
			}
			return n
		}
		near, far := 0, 0
		for range 10_000 {
			s := random()
			other := s
			for _, at := range r.Perm(positions)[:r.IntN(bands.Len()+2)] { // now and then too many
				other[at/perWord] ^= uint64(1+r.IntN(15)) << (4 * (at % perWord))
			}
			similar := s.Similarity(other) >= least
			if similar != bands.Similar(s, other) {
				t.Errorf("at %v: similarity %v", least, s.Similarity(other))
			}
			if similar {
				near++
				if shared(s, other) == 0 {
					t.Errorf("at %v: no band in common at similarity %v", least, s.Similarity(other))
				}
			}
			far += shared(s, random())
		}
		if near < 1000 || far > 20 {
			t.Errorf("at %v: %d similar pairs, and %d bands in common by accident", least, near, far)
		}
	}
	if n := BandsFor(0.9).Len(); n != 10 {
		t.Errorf("%d bands", n)
	}
}

// FuzzOf: any bytes have a signature, which normalising them again does not
// change.
func FuzzOf(f *testing.F) {
	for _, seed := range []string{"", "a red circle", "一只猫", "\xff\xfe", "e\u0301\u0301", "ﷺ", "İstanbul", "1\ufe0f\u20e3", strings.Repeat("\u0301", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prompt string) {
		s := Of(prompt)
		var texts []string
		for _, w := range words(prompt) {
			texts = append(texts, w.text)
		}
		if again := Of(strings.Join(texts, " ")); s != again {
			t.Errorf("%q has %x, its words %q have %x", prompt, s, texts, again)
		}
		if s.IsZero() != (len(texts) == 0) {
			t.Errorf("%q has the words %q and %x", prompt, texts, s)
		}
	})
}

// BenchmarkOf measures prompts of 10 and of 100 words.
func BenchmarkOf(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{10, 100} {
		prompt := strings.Join(text(r, n), " ")
		b.Run(fmt.Sprintf("words=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Of(prompt)
			}
		})
	}
}

// BenchmarkDifferences measures a comparison.
func BenchmarkDifferences(b *testing.B) {
	s, t := Of("a large red circle"), Of("a large blue circle")
	for b.Loop() {
		s.Differences(t)
	}
}

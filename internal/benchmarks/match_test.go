package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// kitchen is a benchmark of prompts that are nobody's.
var kitchen = []Item{
	{"kitchen", "A dented copper kettle whistles on a gas stove while rain runs down the window", "kitchen.txt:1"},
	{"kitchen", "Two clay pots beside a wooden spoon, under a hanging lamp", "kitchen.txt:2"},
	{"kitchen", "A tin cup", "kitchen.txt:3"},
	{"kitchen", "Steam over the old stove", "kitchen.txt:4"},
	{"kitchen", "What boils water", "kitchen.txt:5"},
	{"kitchen", "一只铜壶放在炉子上冒着热气", "kitchen.txt:6"},
	{"kitchen", "a TIN cup!", "kitchen.txt:7"}, // again
	{"kitchen", "…", "kitchen.txt:8"},
}

// found is what a matcher says of a prompt, in a few words.
func found(m *Matcher, prompt string) string {
	item, kind, score, ok := m.Match(prompt)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%v %.2f %s", kind, score, item.Place)
}

func newMatcher(t testing.TB, items []Item, o Options) *Matcher {
	t.Helper()
	m, err := NewMatcher(items, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMatch: each way in which a prompt can be one of a benchmark, and captions
// that share words with one and are none.
func TestMatch(t *testing.T) {
	m := newMatcher(t, kitchen, Options{})
	for prompt, want := range map[string]string{
		"A tin cup":         "exact 1.00 kitchen.txt:3",
		" What boils water": "exact 1.00 kitchen.txt:5",
		"a TIN cup!":        "exact 1.00 kitchen.txt:7",
		"…":                 "exact 1.00 kitchen.txt:8",
		"what boils water?": "normalised 1.00 kitchen.txt:5",
		"the  tin-cup.":     "normalised 1.00 kitchen.txt:3",
		"Ｔｉｎ　ｃｕｐ":           "normalised 1.00 kitchen.txt:3",
		"2 clay pots beside wooden spoon under the hanging lamp":                                                               "normalised 1.00 kitchen.txt:2",
		"一只铜壶，放在炉子上冒着热气。":                                                                                                      "normalised 1.00 kitchen.txt:6",
		"An oil painting: a dented copper kettle whistles on the gas stove while rain runs down a window, 8k, highly detailed": "contained 1.00 kitchen.txt:1",
		"Still life of two clay pots beside a wooden spoon, under a hanging lamp, by an unknown master":                        "contained 1.00 kitchen.txt:2",
		"A dented copper kettle whistles on a gas stove while rain runs down the roof":                                         "contained 0.88 kitchen.txt:1",
		"水彩画：一只铜壶放在炉子上冒着热气，窗外下雨":                                                                                               "contained 1.00 kitchen.txt:6",

		// One word in the middle makes another picture.
		"A dented copper kettle whistles on a camping stove while rain runs down the window": "",
		"Two clay pots beside a wooden ladle, under a hanging lamp":                          "",
		// Short prompts are everyday phrases: only the whole caption is one.
		"a tin cup on a table": "",
		"steam over the old stove in the corner of a dark kitchen": "",
		"what boils water faster, a kettle or a pot":               "",
		"three clay pots":                                          "",
		"a kettle on a stove by the window":                        "",
		"rain runs down the window while a cat sleeps on the sill": "",
		"a wooden spoon under a hanging lamp beside two clay pots": "",
		"cup tin a": "",
		"":          "",
		"?!":        "",
		"the":       "",
	} {
		if got := found(m, prompt); got != want {
			t.Errorf("%q: got %q, want %q", prompt, got, want)
		}
	}
}

// TestContainment: the threshold decides, and of several items the one of which
// the most is in the prompt.
func TestContainment(t *testing.T) {
	const prompt = "on a gas stove while rain runs down the window, a cat"
	if got := found(newMatcher(t, kitchen, Options{Containment: 0.5}), prompt); got != "contained 0.50 kitchen.txt:1" {
		t.Errorf("got %q", got)
	}
	if got := found(newMatcher(t, kitchen, Options{Containment: 0.6}), prompt); got != "" {
		t.Errorf("got %q", got)
	}
	words := "one two three four five six seven eight nine ten eleven twelve"
	items := []Item{
		{"b", "apple birch cedar daisy elm fern grass", "1"},
		{"b", "apple birch cedar daisy elm", "2"},
		{"b", words, "3"},
	}
	m := newMatcher(t, items, Options{Containment: 0.1})
	for prompt, want := range map[string]string{
		"apple birch cedar daisy elm oak":                         "contained 1.00 2",
		"apple birch cedar daisy elm fern grass pine":             "contained 1.00 1",
		"apple birch cedar daisy elm apple birch cedar daisy elm": "contained 1.00 2",
		words + " " + words:                                       "contained 1.00 3",
		"1 2 3 4 5 1 2 3 4 5":                                     "contained 0.12 3", // one run, twice
	} {
		if got := found(m, prompt); got != want {
			t.Errorf("%q: got %q, want %q", prompt, got, want)
		}
	}
}

// TestReasons: the reject of each kind names the benchmark, the place and the
// text, of which a long one is cut.
func TestReasons(t *testing.T) {
	m := newMatcher(t, append([]Item{{"long", strings.Repeat("ß ", 100), "l.txt:1"}}, kitchen...), Options{GenEval: true})
	for prompt, want := range map[string]string{
		"A tin cup":  `the prompt is one of benchmark kitchen, kitchen.txt:3: "A tin cup"`,
		"tin cup":    `the prompt says what one of benchmark kitchen says, kitchen.txt:3: "A tin cup"`,
		"a red bird": `the prompt follows a template of benchmark geneval, "a photo of a <colour> <object>": "a photo of a red bird"`,
		"still life: two clay pots beside a wooden spoon under a hanging lamp": `the prompt holds 100% of one of benchmark kitchen, kitchen.txt:2: "Two clay pots beside a wooden spoon, under a hanging lamp"`,
		strings.Repeat("ß ", 100): `the prompt is one of benchmark long, l.txt:1: "` + strings.Repeat("ß ", 53) + `…"`,
	} {
		got, score, bad := m.Contaminated(prompt)
		if !bad || score != 1 || got != want {
			t.Errorf("%q: got %q, want %q", prompt, got, want)
		}
	}
	if got, score, bad := m.Contaminated("a copper kettle in the sun"); bad || got != "" || score != 0 {
		t.Errorf("got %q, %v", got, score)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Containment: -0.1}, {Containment: 1.1}, {}} {
		items := kitchen
		if o == (Options{}) {
			items = nil
		}
		if _, err := NewMatcher(items, o); err == nil {
			t.Errorf("%+v with %d items is taken", o, len(items))
		}
	}
}

// FuzzMatch: any prompt gets an answer, which its words get as well.
func FuzzMatch(f *testing.F) {
	m := newMatcher(f, kitchen, Options{GenEval: true, Containment: 0.5})
	for _, item := range kitchen {
		f.Add(item.Text)
	}
	f.Add("photo of and")
	f.Add("a photo of to the left of a")
	f.Fuzz(func(t *testing.T, prompt string) {
		item, kind, score, ok := m.Match(prompt)
		if ok && (item.Text == "" || score < 0.5 || score > 1 || kind != Contained && score != 1) {
			t.Errorf("%q: %+v, %v, %v", prompt, item, kind, score)
		}
		w := words(prompt)
		if len(w) == 0 {
			return
		}
		again, _, scoreAgain, okAgain := m.Match(strings.Join(w, " "))
		if ok != okAgain || score != scoreAgain || kind != Exact && item != again {
			t.Errorf("%q: %+v, its words: %+v", prompt, item, again)
		}
	})
}

// text is a random text of n words, of which the frequent ones are frequent.
func text(r *rand.Rand, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", int(float64(5000)*r.Float64()*r.Float64()*r.Float64()))
	}
	return strings.Join(words, " ")
}

// BenchmarkMatch measures captions against 10,000 items of 20 words.
func BenchmarkMatch(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	items := make([]Item, 10_000)
	for i := range items {
		items[i] = Item{Benchmark: "b", Text: text(r, 20)}
	}
	m := newMatcher(b, items, Options{GenEval: true})
	for _, n := range []int{8, 50} {
		captions := make([]string, 1000)
		for i := range captions {
			captions[i] = text(r, n)
		}
		b.Run(fmt.Sprintf("words=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Match(captions[i%len(captions)])
				i++
			}
		})
	}
}

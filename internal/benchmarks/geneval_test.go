package benchmarks

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// objectsOf returns the names of the objects that the generator draws from.
func objectsOf(g *grammar) (names []string) {
	for name, object := range g.objects {
		if name == object {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestGenEvalGenerated: what the generator of GenEval can make is found, and the
// item that is named is that sentence: all single objects, and a sample of each
// other template.
func TestGenEvalGenerated(t *testing.T) {
	g := newGrammar()
	m := newMatcher(t, nil, Options{GenEval: true})
	names := objectsOf(g)
	if len(names) != 80 {
		t.Fatalf("%d objects", len(names))
	}
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(of []string) string { return of[r.IntN(len(of))] }
	two := func(of []string) (a, b string) {
		for a == b {
			a, b = draw(of), draw(of)
		}
		return a, b
	}
	var things []string // that are coloured
	for _, name := range names {
		if name != "person" {
			things = append(things, name)
		}
	}
	check := func(prompt, template string) {
		t.Helper()
		item, kind, _, ok := m.Match(prompt)
		if want := (Item{GenEval, prompt, template}); !ok || kind != Template || item != want {
			t.Errorf("%q: got %+v", prompt, item)
		}
	}
	for _, name := range names {
		check("a photo of "+article(name), singleObject)
	}
	for range 1000 {
		a, b := two(names)
		check("a photo of "+article(a)+" and "+article(b), twoObjects)
		check("a photo of "+draw([]string{"two", "three", "four"})+" "+plural(a), counting)
		check("a photo of "+article(a)+" "+draw([]string{"left of", "right of", "above", "below"})+" "+article(b), position)
		a, b = two(things)
		colourA, colourB := two(g.colours)
		check("a photo of "+article(colourA)+" "+a, colours)
		check("a photo of "+article(colourA)+" "+a+" and "+article(colourB)+" "+b, colourAttributes)
	}
}

// TestGenEval: what people make of the sentences is found, and captions that
// begin like one, or hold one, are not.
func TestGenEval(t *testing.T) {
	m := newMatcher(t, nil, Options{GenEval: true})
	for prompt, want := range map[string]string{
		"A photo of a bench.":                         "a photo of a bench",
		"photo of an bench":                           "a photo of a bench",
		"a bench":                                     "a photo of a bench",
		"BENCHES":                                     "a photo of a bench",
		"the picture of the benches":                  "a photo of a bench",
		"A photo of a mouse":                          "a photo of a computer mouse",
		"two knives":                                  "a photo of two knifes",
		"a photo of 4 people":                         "a photo of four persons",
		"a photo of 3 buses":                          "a photo of three buses",
		"a photo of two sheep":                        "a photo of two sheeps",
		"an orange":                                   "a photo of an orange",
		"an orange orange":                            "a photo of an orange orange",
		"a photo of an orange cat":                    "a photo of an orange cat",
		"a photo of a cat and a dog":                  "a photo of a cat and a dog",
		"Cats and dogs":                               "a photo of a cat and a dog",
		"a photograph of a red cat, and a blue dog":   "a photo of a red cat and a blue dog",
		"a dog to the left of a traffic light":        "a photo of a dog left of a traffic light",
		"an image of a dog on the right of the couch": "a photo of a dog right of a couch",
		"a hot dog above a wine glass":                "a photo of a hot dog above a wine glass",

		"a photo of my two dogs playing in the snow near the lake": "",
		"a photo of a dog playing in the snow":                     "",
		"a photo of a cat and a dog on a couch":                    "",
		"A photo of a red car parked in front of a bakery":         "",
		"a happy dog":                       "",
		"a photo of a small dog":            "",
		"a photo of five dogs":              "",
		"a photo of two dogs and a cat":     "",
		"a photo of a red dog and a cat":    "",
		"a red dog and a red cat":           "",
		"a dog and a dog":                   "",
		"a black dog and a white dog":       "",
		"a dog above a dog":                 "",
		"a photo of a white person":         "",
		"a photo of two":                    "",
		"a photo of":                        "",
		"a photo":                           "",
		"photo of a photo of a dog":         "",
		"a photo of red":                    "",
		"a dog left of":                     "",
		"left of a dog":                     "",
		"and":                               "",
		"a photo of a dog next to a cat":    "",
		"a photo of a birdhouse":            "",
		"two red dogs":                      "",
		"a photo of a lighthouse at sunset": "",
		"a dog, a cat and a bird":           "",
		"above and below":                   "",
		"ein Foto von einem Hund":           "",
	} {
		item, kind, score, ok := m.Match(prompt)
		if item.Text != want || ok != (want != "") || ok && (kind != Template || score != 1) {
			t.Errorf("%q: got %q, want %q", prompt, item.Text, want)
		}
	}
}

package scenes

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	red := Kind{Circle, Red, Striped, AnySize}
	for caption, want := range map[string]Scene{
		"three red striped circles above a blue square on a warm-lit green background": {
			First: []Group{{3, red}}, Relation: Above, Second: []Group{{1, Kind{Square, Blue, AnyTexture, AnySize}}},
			Backdrop: Backdrop{GreenTint, GreenTint}, Light: Light{Warm, AnyDirection},
		},
		"A small yellow dotted triangle left of two purple stars.": {
			First: []Group{{1, Kind{Triangle, Yellow, Dotted, Small}}}, Relation: LeftOf, Second: []Group{{2, Kind{Star, Purple, AnyTexture, AnySize}}},
		},
		"a teal hexagon": {First: []Group{{1, Kind{Hexagon, Teal, AnyTexture, AnySize}}}},
		"There are a pair of medium-sized polka-dotted hearts, one cross and 3 discs, lit from above": {
			First: []Group{{2, Kind{Heart, AnyColour, Dotted, Medium}}, {1, Kind{Shape: Cross}}, {3, Kind{Shape: Circle}}}, Light: Light{AnyTone, FromAbove},
		},
		"an image of a red circle with stripes to the right of a star under soft light": {
			First: []Group{{1, red}}, Relation: RightOf, Second: []Group{{1, Kind{Shape: Star}}}, Light: Light{Soft, AnyDirection},
		},
		"a heart between two stars over a blue to pink gradient backdrop": {
			First: []Group{{1, Kind{Shape: Heart}}}, Relation: Between, Second: []Group{{2, Kind{Shape: Star}}}, Backdrop: Backdrop{BlueTint, PinkTint},
		},
	} {
		got, err := Parse(caption)
		if err != nil {
			t.Errorf("%q: %v", caption, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %q (%+v)", caption, got, got)
		}
	}
}

// TestParseRefuses: a refusal names what is not known and what is.
func TestParseRefuses(t *testing.T) {
	for caption, want := range map[string]string{
		"":                                      "empty",
		"  . ":                                  "empty",
		"a dog riding a bicycle":                `no "dog"; it knows circles, squares,`,
		"a red dog":                             `no "dog"`,
		"a shiny red circle":                    `no "shiny"; it knows the sizes small`,
		"seven red circles":                     `from one to five; the caption asks for "seven"`,
		"12 red circles":                        `from one to five`,
		"red circles":                           "wants a count",
		"a red blue circle":                     `both "blue" and another`,
		"a red circle above":                    "ends where",
		"a red circle and a":                    "without a shape",
		"a circle on a wooden table":            `does not understand "on a wooden table"`,
		"a circle on a crimson background":      "it knows white, gray,",
		"a circle inside a square":              "left of, right of, above",
		"a heart between a star":                `"between" wants two`,
		"a white star on a white background":    "cannot be told from",
		"a star, a heart, a cross and a circle": "at most 3 groups",
		"ein roter Kreis":                       `no "ein"`,
		"a circle on a pink background on a blue background": "two backgrounds, pink and blue",
	} {
		if s, err := Parse(caption); err == nil {
			t.Errorf("%q is read as %q, want a refusal", caption, s)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, want a reason with %q", caption, err, want)
		}
	}
}

// TestCaptionsRoundTrip: each phrasing of a scene is read as that scene.
func TestCaptionsRoundTrip(t *testing.T) {
	d := cast("round trip", 1)
	for range 2000 {
		s := throwScene(d)
		if s.validate() != nil {
			continue
		}
		for _, caption := range []string{s.String(), s.phrase(d), s.phrase(d)} {
			if got, err := Parse(caption); err != nil || !reflect.DeepEqual(got, s) {
				t.Fatalf("%q is read as %q (%v), want %q", caption, got, err, s)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	d := cast("fuzz", 1)
	for range 20 {
		f.Add(throwScene(d).phrase(d))
	}
	f.Add("a dog, with \xff\x00 and and")
	f.Fuzz(func(t *testing.T, caption string) {
		s, err := Parse(caption)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("the reason for %q is not one line: %q", caption, err)
			}
			return
		}
		if again, err := Parse(s.String()); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q is read as %q, and that as %q (%v)", caption, s, again, err)
		}
	})
}

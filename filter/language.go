package filter

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/abadojack/whatlanggo"

	"github.com/irgdata/irgdata"
)

const (
	// enoughLetters are needed to tell the language of a text.
	enoughLetters = 80
	// pieceBytes is the length of the pieces that are looked at one by one.
	pieceBytes = 480
)

// Language rejects texts of which more than the share most is surely in
// another language than the prompt. They are looked at in pieces of a few
// sentences, since a model may change its language half way. A prompt too short
// to tell agrees with all languages of its script.
func Language(most float64) Rule {
	return Rule{
		Name: "language", Version: "1", Slots: thinkingSlots, Unit: "other_language", Threshold: most,
		Measure: againstPrompt(func(_ irgdata.Slot, text, prompt string) float64 {
			return otherLanguage(withoutHeadings(text), prompt)
		}),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("of the %s text, %.0f%% is in another language than the prompt, want at most %.0f%%", slot, 100*value, 100*most)
		},
	}
}

// tongue is what a text is written in, as far as that can be told.
type tongue struct {
	script   *unicode.RangeTable // nil: no letters
	language whatlanggo.Lang     // -1: not sure
}

func tongueOf(text string) tongue {
	info := whatlanggo.Detect(text)
	t := tongue{info.Script, info.Lang}
	switch t.script {
	case unicode.Hiragana, unicode.Katakana: // Japanese may be all of Han
		t.script = unicode.Han
	}
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if letters < enoughLetters || !info.IsReliable() {
		t.language = -1
	}
	return t
}

// differs reports whether the two are surely not of one language.
func (t tongue) differs(other tongue) bool {
	if t.script == nil || other.script == nil {
		return false
	}
	return t.script != other.script || t.language != other.language && t.language >= 0 && other.language >= 0
}

func otherLanguage(text, prompt string) float64 {
	want := tongueOf(prompt)
	all, other := 0, 0
	for piece := range pieces(text, pieceBytes) {
		all += len(piece)
		if tongueOf(piece).differs(want) {
			other += len(piece)
		}
	}
	if all == 0 {
		return 0
	}
	return float64(other) / float64(all)
}

// pieces yields the text in pieces of about n bytes, cut at spaces or, in
// scripts that have none, between characters.
func pieces(text string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for len(text) > n*3/2 {
			at := n
			if space := strings.IndexAny(text[n:n*3/2], " \n"); space >= 0 {
				at += space
			}
			for !startsRune(text, at) {
				at++
			}
			if !yield(text[:at]) {
				return
			}
			text = text[at:]
		}
		if text != "" {
			yield(text)
		}
	}
}

func startsRune(text string, at int) bool { return at >= len(text) || text[at]&0xc0 != 0x80 }

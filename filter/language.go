package filter

import (
	"context"
	"fmt"
	"slices"
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

// PromptLanguage rejects prompts that are in another language than the given
// ones, by their ISO 639-1 codes. One whose language is not sure passes, as that
// of most captions of few words is.
func PromptLanguage(languages []string) (Rule, error) {
	digester := irgdata.NewDigester("prompt_language/1")
	languages = slices.Sorted(slices.Values(languages))
	for _, code := range slices.Compact(languages) {
		if !knownLanguage(code) {
			return Rule{}, fmt.Errorf("there is no language %q: want codes of ISO 639-1, such as en, de or zh", code)
		}
		digester.Text(code)
	}
	return Rule{
		Name: "prompt_language", Version: "1-" + digester.Sum().String()[:8], Slots: []irgdata.Slot{irgdata.SlotPrompt}, Unit: "wanted_language", Threshold: 1,
		// What the language of a prompt is has been found when it was read.
		Measure: func(_ context.Context, s *Subject, _ irgdata.Slot) (float64, error) {
			if code := s.Trajectory.Pair.Language; knownLanguage(code) && !slices.Contains(languages, code) {
				return 0, nil
			}
			return 1, nil
		},
		Reject: func(_ irgdata.Slot, value float64) string {
			if value == 1 {
				return ""
			}
			return fmt.Sprintf("the prompt is in none of the languages %s", strings.Join(slices.Compact(languages), ", "))
		},
	}, nil
}

// knownLanguage reports whether the code is that of a language which can be
// found.
func knownLanguage(code string) bool {
	for language := range whatlanggo.Langs {
		if code != "" && language.Iso6391() == code {
			return true
		}
	}
	return false
}

// otherLanguage is the share of the text in pieces of another script than the
// prompt's or, if the prompt's language is sure, surely in another one.
func otherLanguage(text, prompt string) float64 {
	from := script(prompt)
	language, sure := languageOf(prompt)
	all, other := 0, 0
	for piece := range pieces(text, pieceBytes) {
		all += len(piece)
		if differs(piece, from, language, sure) {
			other += len(piece)
		}
	}
	if all == 0 {
		return 0
	}
	return float64(other) / float64(all)
}

// differs holds a piece against the prompt's script and language.
func differs(piece string, from *unicode.RangeTable, language whatlanggo.Lang, sure bool) bool {
	s := script(piece)
	if from == nil || s == nil {
		return false // no letters
	}
	if s != from {
		return true
	}
	if !sure {
		return false
	}
	other, known := languageOf(piece)
	return known && other != language
}

// script is the one that most of a text's letters are of; nil if it has none.
func script(text string) *unicode.RangeTable {
	switch s := whatlanggo.DetectScript(text); s {
	case unicode.Hiragana, unicode.Katakana: // Japanese may be all of Han
		return unicode.Han
	default:
		return s
	}
}

// languageOf is the language of a text, and whether it is sure. Shorter texts
// are never sure: keywords and names are taken for other languages.
func languageOf(text string) (language whatlanggo.Lang, sure bool) {
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if letters < enoughLetters {
		return -1, false
	}
	info := whatlanggo.Detect(text)
	return info.Lang, info.IsReliable()
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

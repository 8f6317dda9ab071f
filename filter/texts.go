package filter

import (
	"context"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/irgdata/irgdata"
)

// The rules over texts see a text without its <think> tags. What is wrong with
// the tags is for [Thinking] to say.

// textSlots are the slots that hold a text.
var textSlots = append([]irgdata.Slot{irgdata.SlotPrompt}, thinkingSlots...)

// ofText is the Measure of a rule that needs the slot's text alone.
func ofText(measure func(text string) float64) func(context.Context, *Subject, irgdata.Slot) (float64, error) {
	return func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
		return measure(body(s.Trajectory.Slots[slot].Text)), nil
	}
}

// againstPrompt is the Measure of a rule that holds a text against the prompt.
func againstPrompt(measure func(slot irgdata.Slot, text, prompt string) float64) func(context.Context, *Subject, irgdata.Slot) (float64, error) {
	return func(_ context.Context, s *Subject, slot irgdata.Slot) (float64, error) {
		return measure(slot, body(s.Trajectory.Slots[slot].Text), s.Trajectory.Slots[irgdata.SlotPrompt].Text), nil
	}
}

// body is what stands between the tags, or all of a text without them.
func body(text string) string {
	text = strings.TrimPrefix(strings.TrimSpace(text), thinkOpen)
	return strings.TrimSpace(strings.TrimSuffix(text, thinkClose))
}

// withoutHeadings leaves out the headings of T2, which are the template's and
// not the model's.
func withoutHeadings(text string) string {
	for _, heading := range reflectionHeadings {
		text = strings.ReplaceAll(text, heading, "")
	}
	return text
}

// finalPrompt is the last section of a T2, or all of a text without it.
func finalPrompt(text string) string {
	heading := reflectionHeadings[len(reflectionHeadings)-1]
	if at := strings.LastIndex(text, heading); at >= 0 {
		return text[at+len(heading):]
	}
	return text
}

// words returns the words of a text, case-folded: runs of letters, marks and
// digits. Of scripts without spaces each character is one.
func words(text string) []string {
	text = norm.NFC.String(cases.Fold().String(text))
	var out []string
	start := -1
	end := func(at int) {
		if start >= 0 {
			out = append(out, text[start:at])
			start = -1
		}
	}
	for i, r := range text {
		switch {
		case spaceless(r):
			end(i)
			out = append(out, string(r))
		case unicode.In(r, unicode.L, unicode.M, unicode.N):
			if start < 0 {
				start = i
			}
		default:
			end(i)
		}
	}
	end(len(text))
	return out
}

// spaceless reports whether r is of a script that writes no spaces between
// words.
func spaceless(r rune) bool {
	return r > 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// set makes a set of the words that spaces separate.
func set(list string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(list) {
		s[w] = true
	}
	return s
}

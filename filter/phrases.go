package filter

import (
	"regexp"
	"slices"
	"strings"
)

// maxMatches bounds the search for phrases: more of them say no more.
const maxMatches = 16

// phrase is a form of words, in any case. A text is searched for it only if it
// holds one of the hints, which are in lower case: that is much faster.
type phrase struct {
	form  *regexp.Regexp
	hints []string
}

type phrases []phrase

// newPhrase takes hints that "|" separates.
func newPhrase(hints, form string) phrase {
	return phrase{regexp.MustCompile("(?i)" + form), strings.Split(hints, "|")}
}

func (p phrase) hinted(lower string) bool {
	return slices.ContainsFunc(p.hints, func(h string) bool { return strings.Contains(lower, h) })
}

// sentenceStart is where a sentence begins, as a pattern.
const sentenceStart = `(?:\A|[.!?:] |\n *)`

// plainText straightens apostrophes and takes emphasis away, so that a phrase
// has one form.
var plainText = strings.NewReplacer("’", "'", "‘", "'", "*", "", "\u00a0", " ", "\r", "")

// count returns how often the phrases stand in the text, up to maxMatches for
// each. What stands in the prompt too is not counted: a poster may be asked for
// that says "I'm sorry, but I can't".
func (p phrases) count(text, prompt string) float64 {
	text, prompt = plainText.Replace(text), strings.ToLower(plainText.Replace(prompt))
	lower := strings.ToLower(text)
	n := 0
	for _, phrase := range p {
		if !phrase.hinted(lower) {
			continue
		}
		for _, match := range phrase.form.FindAllString(text, maxMatches) {
			if !strings.Contains(prompt, strings.ToLower(strings.TrimLeft(match, " \n.!?:"))) {
				n++
			}
		}
	}
	return float64(n)
}

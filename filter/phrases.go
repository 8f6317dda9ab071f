package filter

import (
	"regexp"
	"strings"
)

// maxMatches bounds the search for phrases: more of them say no more.
const maxMatches = 16

// phrases are forms of words, in any case.
type phrases []*regexp.Regexp

func newPhrases(patterns ...string) phrases {
	var p phrases
	for _, pattern := range patterns {
		p = append(p, regexp.MustCompile("(?i)"+pattern))
	}
	return p
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
	n := 0
	for _, pattern := range p {
		for _, match := range pattern.FindAllString(text, maxMatches) {
			if !strings.Contains(prompt, strings.ToLower(strings.Trim(match, " \n.!?:,"))) {
				n++
			}
		}
	}
	return float64(n)
}

package filter

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/irgdata/irgdata"
)

// How sure it is that a text was cut off, from its end.
const (
	endsWhole    = 0    // with the mark that ends a sentence
	endsUnmarked = 0.5  // without one, as a list of keywords does
	endsInProse  = 0.75 // without one, where all before it has them
	endsAmid     = 1    // where nothing ends: after "the", a comma, "3."
)

// Truncation rejects texts that end in the middle of a sentence or of a list
// item, more surely than most says: 0 for a text that ends with a full stop or
// its like, 0.5 for one that ends with a word, as prompts made of keywords do,
// 0.75 if that word ends a sentence or list item among others that all have
// their mark, 1 where nothing can end: after an article, a comma, a lone list
// number, in an open bracket. Words are known in English, marks in all
// languages.
func Truncation(most float64) Rule {
	return Rule{
		Name: "truncation", Version: "1", Slots: thinkingSlots, Unit: "cut_off", Threshold: most,
		Measure: ofText(cutOff),
		Reject: func(slot irgdata.Slot, value float64) string {
			if value <= most {
				return ""
			}
			return fmt.Sprintf("the %s text ends in the middle of a sentence or of a list item (%.2f sure, want at most %.2f)", slot, value, most)
		},
	}
}

const (
	endMarks = ".!?…。！？｡।॥؟۔։።"
	// closers stand after the mark that ends a sentence: quotes, brackets and
	// the emphasis of Markdown.
	closers = "\"'”’“‘)]}»«›」』】）*_`~"
	// openEnds are marks that something has to follow.
	openEnds = ",;:-–—/&+=<([{#|，、；：（「『"
)

var (
	listMarker = regexp.MustCompile(`^\s*(?:#+|[-*•]|\(?[0-9]{1,3}[.)]|\(?[a-zA-Z][.)])\s*`)
	// sentenceEnd is a mark within prose; "3." at the start of a line is none,
	// nor is the point of "f/1.8".
	sentenceEnd = regexp.MustCompile(`[\pL\pN][.!?…]+["'”’)\]*_]*\s`)
)

// dangling words end no sentence and no phrase.
var dangling = set(`a an the of and or nor but with without for from to into onto at by as than which who whose while
	whereas because although if is are was were be been being has have should must will would could can may might its
	their his my your our every not very between against towards toward via such no so they he she we all some`)

// finite words make a clause out of a phrase.
var finite = set(`is are was were has have had should must will would can could may might needs need makes gives lacks does do`)

func cutOff(text string) float64 {
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	at := strings.LastIndexByte(text, '\n') + 1
	line := text[at:]
	if strings.TrimSpace(text) == "" {
		return endsWhole // nothing was begun; rule thinking objects to it
	}
	item := line[len(listMarker.FindString(line)):]
	core := strings.TrimRight(item, closers)
	if core == "" && len(item) < len(line) {
		return endsAmid
	}
	last, _ := utf8.DecodeLastRuneInString(core)
	switch {
	case strings.ContainsRune(endMarks, last):
		return endsWhole
	case strings.ContainsRune(openEnds, last), open(item):
		return endsAmid
	}
	fragment := item
	marks := sentenceEnd.FindAllStringIndex(item, -1)
	if len(marks) > 0 {
		fragment = item[marks[len(marks)-1][1]:]
	}
	said := words(fragment)
	switch {
	case len(said) == 0 || !unicode.In(last, unicode.L, unicode.M, unicode.N):
		return endsUnmarked
	case dangling[said[len(said)-1]]:
		return endsAmid
	case len(marks) > 0 && anyOf(finite, said),
		len(marks) > 1 && len(said) > 3 && !strings.ContainsAny(fragment, ",;"),
		len(item) < len(line) && siblingsEnd(text[:at]):
		return endsInProse
	}
	return endsUnmarked
}

// open reports whether a bracket, quotation or emphasis is not closed.
func open(line string) bool {
	opened, before := 0, ' '
	for _, r := range line {
		if r == '"' && (unicode.IsSpace(before) || before == '(') {
			opened++
		} else if r == '"' {
			opened--
		}
		before = r
	}
	return opened > 0 && strings.Count(line, `"`)%2 == 1 ||
		strings.Count(line, "“") > strings.Count(line, "”") ||
		strings.Count(line, "(") > strings.Count(line, ")") ||
		strings.Count(line, "**")%2 == 1
}

// siblingsEnd reports whether the text's last lines are at least two list
// items, all of which end with a mark.
func siblingsEnd(text string) bool {
	items := 0
	for text = strings.TrimRight(text, " \t\r\n"); text != ""; items++ {
		at := strings.LastIndexByte(text, '\n') + 1
		line := text[at:]
		if !listMarker.MatchString(line) {
			break
		}
		if last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(line, closers+" ")); !strings.ContainsRune(endMarks, last) {
			return false
		}
		text = strings.TrimRight(text[:at], " \t\r\n")
	}
	return items >= 2
}

func anyOf(set map[string]bool, words []string) bool {
	for _, w := range words {
		if set[w] {
			return true
		}
	}
	return false
}

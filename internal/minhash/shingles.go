package minhash

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// shingles returns hashes of what a prompt is compared by: its words, and its
// pairs of neighbouring words. Of scripts without spaces each character is
// taken for a word, but counts by itself only where it stands alone, as single
// characters say little. A shingle that is there twice is returned twice.
func shingles(prompt string) []uint64 {
	words := words(prompt)
	character := func(i int) bool { return i >= 0 && i < len(words) && words[i].character }
	var out []uint64
	for i, w := range words {
		h := fnv(offset, w.text)
		if !w.character || !character(i-1) && !character(i+1) {
			out = append(out, h)
		}
		if i > 0 {
			out = append(out, fnv(fnv(fnv(offset, words[i-1].text), " "), w.text))
		}
	}
	return out
}

// The constants of the 64-bit FNV-1a hash.
const (
	offset = 0xcbf29ce484222325
	prime  = 0x100000001b3
)

// fnv continues a hash with a text.
func fnv(h uint64, text string) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	return h
}

// word is a run of letters, marks and digits, one character of a script without
// spaces, or one emoji or other symbol.
type word struct {
	text      string
	character bool // of a script without spaces
}

// Words returns the words of a prompt in the form in which prompts are compared:
// NFKC, without case, punctuation and what no reader sees. A character of a
// script without spaces is a word, and so is an emoji or other symbol.
func Words(prompt string) []string {
	if ascii(prompt) {
		return asciiWords(prompt)
	}
	var out []string
	for _, w := range words(prompt) {
		out = append(out, w.text)
	}
	return out
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// asciiWords are the words of most prompts, at a quarter of the cost.
func asciiWords(prompt string) []string {
	return strings.FieldsFunc(strings.ToLower(prompt), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// words returns the words of a prompt, normalised. What is in none, such as
// punctuation, only separates them.
func words(prompt string) []word {
	if ascii(prompt) {
		texts := asciiWords(prompt)
		out := make([]word, len(texts))
		for i, text := range texts {
			out[i].text = text
		}
		return out
	}
	text := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(prompt)))
	var out []word
	var run []rune
	end := func() {
		if len(run) > 0 {
			out = append(out, word{text: string(run)})
			run = run[:0]
		}
	}
	for _, r := range text {
		switch {
		case r < 0x80 && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9'): // most of them, so ask nothing else
			run = append(run, r)
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector): // no reader sees them
		case spaceless(r):
			end()
			out = append(out, word{string(r), true})
		case unicode.Is(unicode.So, r):
			end()
			out = append(out, word{text: string(r)})
		case unicode.In(r, unicode.L, unicode.M, unicode.N):
			run = append(run, r)
		default:
			end()
		}
	}
	end()
	return out
}

// spaceless reports whether r is of a script that writes no spaces between
// words.
func spaceless(r rune) bool {
	const prolongedSound = 'ー' // of kana, though Unicode counts it to no script
	return r == prolongedSound || unicode.In(r, unicode.L, unicode.M, unicode.N) &&
		unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

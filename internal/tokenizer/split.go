package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// pattern is how Qwen2's tokenizer cuts a text into words, and the only one
// that wordLen stands for. Go's regexp has no lookahead, (?!\S).
const pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// class is what the pattern tells apart.
type class uint8

const (
	other   class = iota // [^\s\p{L}\p{N}]
	letter               // \p{L}
	number               // \p{N}
	space                // \s without the next
	newline              // [\r\n]
	end                  // of the text
)

// classAt returns the class of the text's first code point, and its length.
func classAt(text string) (class, int) {
	if text == "" {
		return end, 0
	}
	if c := text[0]; c < utf8.RuneSelf {
		return asciiClasses[c], 1
	}
	r, n := utf8.DecodeRuneInString(text)
	return classOf(r), n
}

var asciiClasses = func() (classes [utf8.RuneSelf]class) {
	for r := range classes {
		classes[r] = classOf(rune(r))
	}
	return classes
}()

func classOf(r rune) class {
	switch {
	case r == '\r' || r == '\n':
		return newline
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// run is the length of the code points of the class at the text's beginning.
func run(text string, of class) int {
	n := 0
	for {
		c, size := classAt(text[n:])
		if c != of || size == 0 {
			return n
		}
		n += size
	}
}

// wordLen is the length of what the pattern matches at the beginning of a text
// that is not empty. Its cases are the pattern's alternatives, in order.
func wordLen(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	first, n := classAt(text)
	second, _ := classAt(text[n:])
	switch {
	case first == letter:
		return run(text, letter)
	case second == letter && (first == other || first == space):
		return n + run(text[n:], letter)
	case first == number:
		return n
	case first == other:
		n = run(text, other)
		return n + run(text[n:], newline)
	case text[0] == ' ' && second == other:
		n += run(text[n:], other)
		return n + run(text[n:], newline)
	}
	return spaceLen(text)
}

// spaceLen cuts a run of white space: after its last line break, else before
// its last code point, which belongs to the word that follows, if one does.
func spaceLen(text string) int {
	length, last, broken := 0, 0, 0
	for {
		c, n := classAt(text[length:])
		if c != space && c != newline {
			break
		}
		length, last = length+n, n
		if c == newline {
			broken = length
		}
	}
	switch {
	case broken > 0:
		return broken
	case length == len(text) || length == last:
		return length
	}
	return length - last
}

// contraction is the length of 's, 't, 're, 've, 'm, 'll or 'd in any case at
// the text's beginning, else 0.
func contraction(text string) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	lower := func(i int) byte {
		if i < len(text) && 'A' <= text[i] && text[i] <= 'Z' {
			return text[i] + 'a' - 'A'
		}
		if i < len(text) {
			return text[i]
		}
		return 0
	}
	switch a, b := lower(1), lower(2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return 2
	case a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l':
		return 3
	case text[1:min(3, len(text))] == "\u017f": // the long s folds to s
		return 3
	}
	return 0
}

package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/irgdata/irgdata"
)

// Tokenizer turns texts into the ids of a vocabulary. It is safe for
// concurrent use. Its memory is that of the vocabulary, about 30 MB for
// Qwen2's, and a bounded cache of words.
type Tokenizer struct {
	bytes  [256]int32       // the token of each byte
	merges map[pair]merging // what two neighbours become
	added  []added          // the longest first
	starts [256]bool        // bytes with which an added token begins

	seed  maphash.Seed
	cache []atomic.Pointer[cached] // a word's place is its hash; a later word takes it over

	digest irgdata.Digest
}

// Digest identifies the tokenizer by the files that it was read from.
func (t *Tokenizer) Digest() irgdata.Digest { return t.digest }

// added is a token that is matched in the text before anything else, such as
// <|im_start|>.
type added struct {
	content string
	id      int32
}

// cached holds the ids of a word, which are not modified.
type cached struct {
	word string
	ids  []int32
}

const (
	cacheSize = 1 << 14
	// maxCached bounds the words that are kept, in bytes; longer ones are rare.
	maxCached = 64
)

// Encode returns the ids of the text. Control tokens that the text spells out
// are taken as such, as Hugging Face's tokenizers do. A byte that is not UTF-8
// counts as U+FFFD.
func (t *Tokenizer) Encode(text string) []int {
	ids := []int{}
	t.each(text, func(word []int32) {
		for _, id := range word {
			ids = append(ids, int(id))
		}
	})
	return ids
}

// Count is the number of ids that Encode returns, without making them a list.
func (t *Tokenizer) Count(text string) int {
	n := 0
	t.each(text, func(word []int32) { n += len(word) })
	return n
}

// each calls see with the ids of each added token and each word, in order. They
// are valid during the call.
func (t *Tokenizer) each(text string, see func([]int32)) {
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // U+FFFD for each invalid byte
	}
	b := &builder{t: t}
	from := 0
	for i := 0; i < len(text); {
		token, ok := t.addedAt(text, i)
		if !ok {
			i++
			continue
		}
		t.eachWord(text[from:i], b, see)
		b.one[0] = token.id
		see(b.one[:])
		i += len(token.content)
		from = i
	}
	t.eachWord(text[from:], b, see)
}

func (t *Tokenizer) addedAt(text string, i int) (added, bool) {
	if !t.starts[text[i]] {
		return added{}, false
	}
	for _, a := range t.added {
		if strings.HasPrefix(text[i:], a.content) {
			return a, true
		}
	}
	return added{}, false
}

func (t *Tokenizer) eachWord(text string, b *builder, see func([]int32)) {
	for text = normalize(text); text != ""; {
		n := wordLen(text)
		see(t.word(text[:n], b))
		text = text[n:]
	}
}

// word returns the ids of a word, valid until the next call with b.
func (t *Tokenizer) word(word string, b *builder) []int32 {
	if len(word) == 1 {
		b.one[0] = t.bytes[word[0]]
		return b.one[:]
	}
	if len(word) > maxCached {
		return b.build(word)
	}
	place := &t.cache[maphash.String(t.seed, word)%cacheSize]
	if c := place.Load(); c != nil && c.word == word {
		return c.ids
	}
	// Copies, for the word is a part of a text that may be large.
	c := &cached{word: strings.Clone(word), ids: append([]int32(nil), b.build(word)...)}
	place.Store(c)
	return c.ids
}

// normalize returns the NFC of the text, which is valid UTF-8.
func normalize(text string) string {
	if norm.NFC.IsNormalString(text) {
		return text
	}
	// The library breaks runs of more than 30 combining marks with U+034F
	// (UAX 15, Stream-Safe Text Format); the tokenizers do not.
	const joiner = "\u034f"
	normal := norm.NFC.String(text)
	if strings.Count(normal, joiner) != strings.Count(text, joiner) {
		return compose(decompose(text))
	}
	return normal
}

package ingest

import (
	"encoding/binary"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/abadojack/whatlanggo"
	"golang.org/x/text/unicode/norm"
)

// CaptionOptions bound captions.
type CaptionOptions struct {
	// MaxCharacters is the most characters that a caption may have; 0 means
	// [DefaultMaxCharacters].
	MaxCharacters int
	// MaxWords is the most words, as spaces separate them; 0 means any number.
	MaxWords int
}

// DefaultMaxCharacters is more than any caption that a person reads has, and
// about 2,000 tokens of a model.
const DefaultMaxCharacters = 8192

// Validate reports the first mistake.
func (o CaptionOptions) Validate() error {
	if o.MaxCharacters < 0 {
		return fmt.Errorf("the most characters of a caption are %d: want a number above 0, or 0 for %d", o.MaxCharacters, DefaultMaxCharacters)
	}
	if o.MaxWords < 0 {
		return fmt.Errorf("the most words of a caption are %d: want a number above 0, or 0 for any", o.MaxWords)
	}
	return nil
}

// What cleanCaption notes.
const (
	noteUTF16       = "decoded as UTF-16"
	noteWindows1252 = "decoded as windows-1252"
	noteCut         = "removed half a character at the end"
	noteHTML        = "unescaped HTML"
	noteMojibake    = "repaired double encoding"
	noteControl     = "removed control characters"
	noteInvisible   = "removed invisible characters"
	noteComposed    = "composed characters"
	noteSpaces      = "collapsed spaces"
)

// cleanCaption makes one line of Unicode text in the normal form NFC of the
// bytes that a source gives for a caption. Each kind of change leaves a note,
// but for spaces at the ends and a mark of UTF-8 at the start. A problem, one
// sentence, says why the caption is of no use. A caption without a problem is
// clean: cleaning it again changes nothing.
func cleanCaption(raw []byte, o CaptionOptions) (caption string, notes []string, problem string) {
	note := func(changed bool, text string) {
		if changed && !slices.Contains(notes, text) {
			notes = append(notes, text)
		}
	}
	caption, how, problem := decodeCaption(raw)
	if problem != "" {
		return caption, nil, problem
	}
	note(how != "", how)

	// One step can make work for another: text is escaped twice, or a character
	// that nobody sees stands within an entity. So all are taken until none
	// changes anything, which they do at once in nearly all captions.
	const rounds = 6
	for range rounds {
		caption = strings.Trim(caption, " \t\r\n")
		before := caption
		step := func(f func(string) string, text string) {
			next := f(caption)
			note(next != caption, text)
			caption = next
		}
		step(unescapeHTML, noteHTML)
		step(repairMojibake, noteMojibake)
		step(removeControls, noteControl)
		step(removeInvisible, noteInvisible)
		step(norm.NFC.String, noteComposed)
		caption = strings.TrimFunc(caption, unicode.IsSpace)
		step(func(s string) string { return strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " ") }, noteSpaces)
		if caption == before {
			return caption, notes, captionProblem(caption, o)
		}
	}
	return caption, notes, "the caption is escaped or encoded many times over"
}

// decodeCaption decodes UTF-8, UTF-16 with a byte order mark, or else
// Windows-1252.
func decodeCaption(raw []byte) (text, note, problem string) {
	switch {
	case len(raw) >= 2 && raw[0] == 0xff && raw[1] == 0xfe:
		return decodeUTF16(raw[2:], binary.LittleEndian), noteUTF16, ""
	case len(raw) >= 2 && raw[0] == 0xfe && raw[1] == 0xff:
		return decodeUTF16(raw[2:], binary.BigEndian), noteUTF16, ""
	}
	text = strings.TrimPrefix(string(raw), "\ufeff")
	if utf8.ValidString(text) {
		return text, "", ""
	}
	characters, strays, at := 0, 0, 0 // characters of several bytes, bytes of none, and the first of those
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			if strays++; strays == 1 {
				at = i
			}
		case size > 1:
			characters++
		}
		i += size
	}
	switch {
	case characters > 0 && !utf8.FullRuneInString(text[at:]):
		return text[:at], noteCut, ""
	case characters > strays: // too many to be there by accident
		return text, "", fmt.Sprintf("the caption is damaged: of its UTF-8, byte %d is part of no character", at)
	}
	return decodeWindows1252(text), noteWindows1252, ""
}

// decodeUTF16 leaves out half a unit at the end.
func decodeUTF16(raw []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = order.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}

var entity = regexp.MustCompile(`&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});`)

// unescapeHTML replaces entities. Those without the semicolon, which browsers
// take too, are left alone: "R&D" has none.
func unescapeHTML(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return entity.ReplaceAllStringFunc(s, html.UnescapeString)
}

// removeControls removes control characters but for those that are spaces.
func removeControls(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// removeInvisible removes what has no form of its own: zero-width spaces, soft
// hyphens, marks of direction, tags. It leaves joiners where they can shape
// something, between characters that are not ASCII, as in Persian words and in
// emoji of several people.
func removeInvisible(s string) string {
	const nonJoiner, joiner = '\u200c', '\u200d'
	var out strings.Builder
	var last rune
	for i, r := range s {
		if unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) {
			next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
			shapes := func(r rune) bool { return r > unicode.MaxASCII && !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) }
			if r != nonJoiner && r != joiner || !shapes(last) || !shapes(next) {
				continue
			}
		}
		out.WriteRune(r)
		last = r
	}
	return out.String()
}

var (
	// specialToken is what the tokenizer of Qwen2, which BAGEL uses, takes for
	// one token with a meaning, such as <|im_end|> and <|vision_start|>.
	specialToken = regexp.MustCompile(`<\|[a-z_]+\|>`)
	fileName     = regexp.MustCompile(`(?i)^(\S+\.(jpe?g|jpe|jfif|png|webp|gif|bmp|tiff?|heic|heif|avif)|(IMG|DSC|DSCN|DSCF|PXL|MVI|DCIM|VID)[-_]?[0-9][-_0-9a-z()]*)$`)
	address      = regexp.MustCompile(`(?i)^(https?://|www\.)\S+$`)
)

// captionProblem says why a caption is of no use, or "".
func captionProblem(caption string, o CaptionOptions) string {
	most := o.MaxCharacters
	if most == 0 {
		most = DefaultMaxCharacters
	}
	if n := utf8.RuneCountInString(caption); n > most {
		return fmt.Sprintf("the caption has %d characters, want at most %d", n, most)
	}
	if n := strings.Count(caption, " ") + 1; o.MaxWords > 0 && n > o.MaxWords {
		return fmt.Sprintf("the caption has %d words, want at most %d", n, o.MaxWords)
	}
	token := specialToken.FindString(caption)
	switch {
	case caption == "":
		return "the caption is empty"
	case token != "":
		return fmt.Sprintf("the caption has %.40s in it, which the tokenizer takes for a special token", token)
	case slices.Contains(placeholders, strings.ToLower(caption)):
		return fmt.Sprintf("the caption is %q, which stands for none", caption)
	case fileName.MatchString(caption):
		return "the caption is a file name"
	case address.MatchString(caption):
		return "the caption is a web address"
	case !strings.ContainsFunc(caption, unicode.IsLetter):
		return "the caption has no letters"
	}
	return ""
}

// placeholders are what programs write where there is no caption.
var placeholders = []string{"null", "none", "nan", "n/a", "na", "undefined", "<na>", "no caption"}

// language returns the ISO 639-1 code of the language that a caption is in, or
// "und" where that is not sure, as in most captions of few words.
func language(caption string) string {
	info := whatlanggo.Detect(caption)
	// Languages that are equally near have no confidence, so the order in which
	// the library goes through them does not matter.
	if code := info.Lang.Iso6391(); code != "" && info.IsReliable() {
		return code
	}
	return "und"
}

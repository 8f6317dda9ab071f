package ingest

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// repairMojibake undoes that UTF-8 was decoded as Windows-1252 ("cafÃ©" for
// "café"), when nothing speaks against it and something speaks for it: all
// characters of s go back to bytes that are UTF-8, and at least one group of
// characters is nothing that anybody writes. This is the simple case of ftfy
// (Robyn Speer, https://ftfy.readthedocs.io), with a heuristic of its own.
func repairMojibake(s string) string {
	for strings.ContainsFunc(s, isLead) { // each time it becomes shorter
		encoded, ok := encodeWindows1252(s)
		if !ok || !utf8.ValidString(encoded) || !unlikely([]rune(s), encoded) {
			break
		}
		s = encoded
	}
	return s
}

// decodeWindows1252 decodes bytes. The five that Windows-1252 leaves out are
// control characters, as in the encoding standard of the web.
func decodeWindows1252(encoded string) string {
	var out strings.Builder
	for i := range len(encoded) {
		r := charmap.Windows1252.DecodeByte(encoded[i])
		if r == utf8.RuneError {
			r = rune(encoded[i])
		}
		out.WriteRune(r)
	}
	return out.String()
}

// encodeWindows1252 is the inverse of [decodeWindows1252], and reports whether
// s has only characters that it gives. All control characters from U+0080 on
// are bytes too: what was decoded as ISO 8859-1 has them.
func encodeWindows1252(s string) (encoded string, ok bool) {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := charmap.Windows1252.EncodeRune(r)
		switch {
		case ok && r != utf8.RuneError:
		case r >= 0x80 && r < 0xa0:
			b = byte(r)
		default:
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// isLead reports whether r is what the first byte of a character of several
// bytes is decoded to.
func isLead(r rune) bool { return r >= 0xc2 && r <= 0xf4 }

// unlikely reports whether one group of characters of s, those of one character
// of encoded, is no natural text. A natural group is a letter and what may
// follow it: the end of "NESTLÉ®" is a character of UTF-8 too.
func unlikely(s []rune, encoded string) bool {
	at, grouped := 0, false // the place in s, and whether the group before ends there
	for _, r := range encoded {
		size := utf8.RuneLen(r)
		if size == 1 {
			at, grouped = at+1, false
			continue
		}
		lead, rest := s[at], s[at+1:at+size]
		follows := !slices.ContainsFunc(rest, func(r rune) bool { return !mayFollow(r) })
		before := ' '
		if at > 0 {
			before = s[at-1]
		}
		after := ' '
		if at+size < len(s) {
			after = s[at+size]
		}
		switch {
		case !follows, grouped: // one may be natural, two in a row are not
			return true
		case unicode.IsUpper(lead) && unicode.IsLower(before): // "fÃ©"
			return true
		case (lead == 'Â' || lead == 'Ã') && !unicode.IsLetter(before): // no words
			return true
		case unicode.IsLetter(after) && strings.ContainsRune("©®™°»", rest[len(rest)-1]):
			return true
		}
		at, grouped = at+size, true
	}
	return false
}

// mayFollow reports whether r is written behind a letter.
func mayFollow(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsLetter(r) || strings.ContainsRune("”’»›“‘…–—•·™®©°²³¹ºª´", r)
}

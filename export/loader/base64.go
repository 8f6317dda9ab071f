package loader

import (
	"encoding/base64"
	"errors"
	"strings"
)

// errBase64 says that Python's base64.b64decode raises.
var errBase64 = errors.New("it is no base64")

// decodeBase64 is Python's base64.b64decode, which skips what is not of the
// alphabet and stops at the padding (Modules/binascii.c, a2b_base64).
func decodeBase64(text string) ([]byte, error) {
	// The common case; the library skips line ends too.
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		return decoded, nil
	}
	var kept strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 0x80:
			return nil, errBase64 // b64decode takes ASCII alone
		case c == '=':
			// A full group's padding ends the text, other padding is skipped.
			if in := kept.Len() % 4; in >= 2 && padded(text[i:], 4-in) {
				decoded, err := base64.RawStdEncoding.DecodeString(kept.String())
				return decoded, errors.Join(err, asciiOnly(text[i:]))
			}
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			kept.WriteByte(c)
		}
	}
	if kept.Len()%4 != 0 {
		return nil, errBase64
	}
	return base64.RawStdEncoding.DecodeString(kept.String())
}

// padded reports whether so many signs of padding come before the next sign of
// the alphabet. A group's count begins anew there.
func padded(rest string, signs int) bool {
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == '=':
			if signs--; signs == 0 {
				return true
			}
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			return false
		}
	}
	return false
}

func asciiOnly(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		return errBase64
	}
	return nil
}

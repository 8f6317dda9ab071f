package loader

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON is Python's json.loads, which takes what encoding/json does not
// (NaN, Infinity, halves of surrogate pairs) and tells keys by case. Values are
// map[string]any, []any, string, float64, bool and nil. Half a surrogate pair
// becomes three bytes that are not UTF-8, so that utf8.ValidString says whether
// Python could encode the text.
func parseJSON(text string) (any, error) {
	p := &jsonParser{text: text}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at != len(text) {
		return nil, errJSON
	}
	return v, nil
}

var (
	errJSON = errors.New("it is no JSON")
	// errNested is where Python raises a RecursionError, and no
	// JSONDecodeError; Python's limit depends on its version.
	errNested = errors.New("the JSON is nested too deeply")
)

const maxNesting = 900

type jsonParser struct {
	text string
	at   int
}

func (p *jsonParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take passes over word, if it comes next.
func (p *jsonParser) take(word string) bool {
	if !strings.HasPrefix(p.text[p.at:], word) {
		return false
	}
	p.at += len(word)
	return true
}

func (p *jsonParser) value(depth int) (any, error) {
	if depth > maxNesting {
		return nil, errNested
	}
	switch {
	case p.at == len(p.text):
		return nil, errJSON
	case p.take(`"`):
		return p.string()
	case p.take("{"):
		return p.object(depth)
	case p.take("["):
		return p.array(depth)
	case p.take("null"):
		return nil, nil
	case p.take("true"):
		return true, nil
	case p.take("false"):
		return false, nil
	case p.take("NaN"):
		return strconv.ParseFloat("NaN", 64)
	case p.take("Infinity"):
		return strconv.ParseFloat("Inf", 64)
	case p.take("-Infinity"):
		return strconv.ParseFloat("-Inf", 64)
	}
	return p.number()
}

func (p *jsonParser) object(depth int) (any, error) {
	members := map[string]any{}
	for first := true; ; first = false {
		p.space()
		if first && p.take("}") {
			return members, nil
		}
		if !p.take(`"`) {
			return nil, errJSON
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.take(":") {
			return nil, errJSON
		}
		p.space()
		if members[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		p.space()
		if p.take("}") {
			return members, nil
		}
		if !p.take(",") {
			return nil, errJSON
		}
	}
}

func (p *jsonParser) array(depth int) (any, error) {
	elements := []any{}
	for first := true; ; first = false {
		p.space()
		if first && p.take("]") {
			return elements, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elements = append(elements, v)
		p.space()
		if p.take("]") {
			return elements, nil
		}
		if !p.take(",") {
			return nil, errJSON
		}
	}
}

// string reads the rest of a string. One without escapes, as base64 is, is not
// copied.
func (p *jsonParser) string() (string, error) {
	start := p.at
	var out []byte
	escaped := false
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			if !escaped {
				return p.text[start : p.at-1], nil
			}
			return string(append(out, p.text[start:p.at-1]...)), nil
		case c < ' ':
			return "", errJSON
		case c == '\\':
			out = append(out, p.text[start:p.at]...)
			escaped = true
			p.at++
			var err error
			if out, err = p.escape(out); err != nil {
				return "", err
			}
			start = p.at
		default:
			p.at++
		}
	}
	return "", errJSON
}

func (p *jsonParser) escape(out []byte) ([]byte, error) {
	if p.at == len(p.text) {
		return nil, errJSON
	}
	c := p.text[p.at]
	p.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return append(out, "\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return nil, errJSON
	}
	r, ok := p.hex()
	if !ok {
		return nil, errJSON
	}
	if r >= 0xd800 && r < 0xdc00 { // the first half of a pair
		if rest := p.at; p.take(`\u`) {
			low, ok := p.hex()
			if !ok {
				return nil, errJSON
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return utf8.AppendRune(out, pair), nil
			}
			p.at = rest
		}
	}
	if utf16.IsSurrogate(r) {
		return append(out, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f), nil
	}
	return utf8.AppendRune(out, r), nil
}

func (p *jsonParser) hex() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 32)
	p.at += 4
	return rune(n), err == nil
}

// number reads -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?, as far as it
// goes.
func (p *jsonParser) number() (any, error) {
	start := p.at
	p.take("-")
	if !p.take("0") && !p.digits() {
		return nil, errJSON
	}
	if end := p.at; p.take(".") && !p.digits() {
		p.at = end
	}
	if end := p.at; p.take("e") || p.take("E") {
		if !p.take("+") {
			p.take("-")
		}
		if !p.digits() {
			p.at = end
		}
	}
	v, err := strconv.ParseFloat(p.text[start:p.at], 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil // infinite, as in Python
	}
	return v, err
}

func (p *jsonParser) digits() bool {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

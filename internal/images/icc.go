package images

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxProfile bounds how much of an ICC profile is gathered or inflated to find
// its name, which writers put near the start.
const maxProfile = 1 << 20

// unnamed stands for the description of a profile that has none.
const unnamed = "unnamed"

// profileName returns the description of an ICC profile: the tag "desc", in
// the form of version 2 (ASCII) or of version 4 (the first of its languages).
func profileName(profile []byte) string {
	const header, entry = 128, 12 // ICC.1:2022, sections 7.2 and 7.3
	if len(profile) < header+4 {
		return unnamed
	}
	table := profile[header+4:]
	for n := binary.BigEndian.Uint32(profile[header:]); n > 0 && len(table) >= entry; n-- {
		if string(table[:4]) != "desc" {
			table = table[entry:]
			continue
		}
		offset, size := int64(binary.BigEndian.Uint32(table[4:])), int64(binary.BigEndian.Uint32(table[8:]))
		if offset+size > int64(len(profile)) {
			return unnamed
		}
		return clean(description(profile[offset : offset+size]))
	}
	return unnamed
}

func description(tag []byte) string {
	switch {
	case len(tag) >= 12 && string(tag[:4]) == "desc":
		size := min(int64(binary.BigEndian.Uint32(tag[8:])), int64(len(tag)-12))
		return string(tag[12 : 12+size])
	case len(tag) >= 28 && string(tag[:4]) == "mluc":
		size, offset := int64(binary.BigEndian.Uint32(tag[20:])), int64(binary.BigEndian.Uint32(tag[24:]))
		if offset+size > int64(len(tag)) {
			return ""
		}
		var units []uint16
		for text := tag[offset : offset+size]; len(text) >= 2; text = text[2:] {
			units = append(units, binary.BigEndian.Uint16(text))
		}
		return string(utf16.Decode(units))
	}
	return ""
}

// clean makes a short name of a description, in one line.
func clean(s string) string {
	const most = 60
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most])
	}
	if s == "" {
		return unnamed
	}
	return s
}

package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// Document knows on which line each key of a file stands. A nil Document is
// that of a configuration without a file.
type Document struct {
	file  string
	lines map[string]int // by path: "sources[1].folder"
}

// Errorf gives an error about the value at path, with its line. If the file
// leaves the key out, the line is that of the nearest key around it.
func (d *Document) Errorf(path, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if path != "" {
		message = path + ": " + message
	}
	message = Redact(message)
	if d == nil {
		return errors.New(message)
	}
	for around := path; around != ""; {
		if line, ok := d.lines[around]; ok {
			return fmt.Errorf("%s:%d: %s", d.file, line, message)
		}
		around = around[:max(0, strings.LastIndexAny(around, ".["))]
	}
	return fmt.Errorf("%s: %s", d.file, message)
}

// What stands before an @ in an address, or after a ? with a =, may be a key. A
// secret may hold slashes, and a path that was cleaned has one where two were.
var (
	userinfo = regexp.MustCompile(`(:/+)[^\s"]*@`)
	query    = regexp.MustCompile(`(:/+[^\s"]*\?)[^\s"]*=[^\s"]*`)
)

// Redact takes user names, passwords and queries out of the addresses in a text
// that a person will read.
func Redact(text string) string {
	return query.ReplaceAllString(userinfo.ReplaceAllString(text, "${1}…@"), "${1}…")
}

// Marshal writes v as YAML, in the order of its fields, in the form that
// Decode reads.
func Marshal(v any) ([]byte, error) {
	return yaml.MarshalWithOptions(v, yaml.Indent(2), yaml.IndentSequence(true))
}

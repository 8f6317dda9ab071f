package config

import (
	"errors"
	"fmt"
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

// Marshal writes v as YAML, in the order of its fields, in the form that
// Decode reads.
func Marshal(v any) ([]byte, error) {
	return yaml.MarshalWithOptions(v, yaml.Indent(2), yaml.IndentSequence(true))
}

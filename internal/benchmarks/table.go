package benchmarks

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// columns returns the places of the columns of prompts.
func (p *parser) columns(header []string) ([]int, error) {
	var columns []int
	for i, name := range header {
		if slices.Contains(promptFields, strings.ToLower(strings.TrimSpace(name))) {
			columns = append(columns, i)
		}
	}
	if columns == nil {
		return nil, fmt.Errorf("%s:1: the header has no column of prompts, but %s: %s", p.name, clip(strings.Join(header, ", ")), wantFields)
	}
	return columns, nil
}

// csv reads rows under a header, all of the same length.
func (p *parser) csv() error {
	r := csv.NewReader(bytes.NewReader(p.content))
	r.ReuseRecord = true
	row, err := r.Read()
	if err == io.EOF {
		return nil
	}
	var columns []int
	if err == nil {
		if columns, err = p.columns(row); err != nil {
			return err
		}
		row, err = r.Read()
	}
	for ; err == nil; row, err = r.Read() {
		for _, column := range columns {
			line, _ := r.FieldPos(column)
			p.add(row[column], line)
		}
	}
	var syntax *csv.ParseError
	switch {
	case err == io.EOF:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %w", p.name, syntax.Line, syntax.Err)
	default:
		return fmt.Errorf("%s: %w", p.name, err)
	}
}

// tsv reads lines under a header. A quotation mark means nothing but around a
// whole field, as a prompt may begin with one.
func (p *parser) tsv() error {
	var columns []int
	number := 0
	for line := range strings.Lines(string(p.content)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		row := strings.Split(line, "\t")
		if number == 1 {
			var err error
			if columns, err = p.columns(row); err != nil {
				return err
			}
			continue
		}
		for _, column := range columns {
			if column >= len(row) {
				if line == "" {
					continue
				}
				return fmt.Errorf("%s:%d: the row has %d fields: want the %d of the header at least", p.name, number, len(row), column+1)
			}
			field := row[column]
			if len(field) > 1 && field[0] == '"' && field[len(field)-1] == '"' {
				field = strings.ReplaceAll(field[1:len(field)-1], `""`, `"`)
			}
			p.add(field, number)
		}
	}
	return nil
}

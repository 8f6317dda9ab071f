package ingest

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Peek is what the first items of a source look like.
type Peek struct {
	// Fields says which fields hold what, where a source has any.
	Fields  string
	Entries []Entry
}

// PeekAt reads the first n items of a source. Nothing is kept.
func PeekAt(ctx context.Context, s Source, a *Admission, n int) (Peek, error) {
	var p Peek
	for unit, err := range s.Units(ctx) {
		if err != nil {
			return p, err
		}
		for raw, err := range unit.Items {
			if err != nil {
				return p, fmt.Errorf("%s: %w", unit.Name, err)
			}
			entry, err := a.admit(ctx, raw, func(context.Context, Entry, []byte) error { return nil })
			if err != nil {
				return p, err
			}
			if p.Entries = append(p.Entries, entry); len(p.Entries) == n {
				p.Fields = fields(ctx, s)
				return p, nil
			}
		}
	}
	p.Fields = fields(ctx, s)
	return p, nil
}

// fields tells which fields of a source's first file hold what.
func fields(ctx context.Context, s Source) string {
	var there []string
	var columns Columns
	promptOnly := false
	switch s := s.(type) {
	case *Table:
		columns, promptOnly, there = s.o.Columns, s.o.PromptOnly, s.names(ctx)
	case *Parquet:
		columns, promptOnly, there = s.o.Columns, s.o.PromptOnly, s.names()
	}
	m, err := columns.fit(there, !promptOnly)
	if len(there) == 0 || err != nil {
		return ""
	}
	var found []string
	for _, f := range []struct{ what, name string }{{"caption", m.Caption}, {"image", m.Image}, {"license", m.License}, {"url", m.URL}} {
		if f.name != "" {
			found = append(found, f.what+" in "+f.name)
		}
	}
	return strings.Join(found, ", ") + "; all fields: " + listNames(there)
}

// names are the fields of the first row of the table's first file.
func (t *Table) names(ctx context.Context) (names []string) {
	files, err := t.location.list(tableExtensions...)
	if err != nil {
		return nil
	}
	reader := *t
	reader.see = func(there []string) { names = there }
	next, stop := iter.Pull2(reader.rows(ctx, files[0]))
	defer stop()
	_, _, _ = next() // reading it tells its fields; an error is told elsewhere
	return names
}

// names are the columns of the source's first file.
func (p *Parquet) names() []string {
	files, err := p.location.list(".parquet")
	if err != nil {
		return nil
	}
	r, closeFile, problem, err := p.open(files[0].name)
	defer closeFile()
	if problem != nil || err != nil {
		return nil
	}
	return columnNames(r)
}

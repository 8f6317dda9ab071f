package benchmarks

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
)

// json reads JSON values, one after another: an array of entries, an object of
// objects that are entries, or an entry. An entry is a text, or an object with a
// field that holds a prompt.
func (p *parser) json() error {
	dec := json.NewDecoder(bytes.NewReader(p.content))
	for {
		at := p.next(dec, 0)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return p.wrong(at, "the JSON that begins here is broken: %v", err)
		}
		if err := p.value(raw, at); err != nil {
			return err
		}
	}
}

// next returns the offset of what the decoder reads next; its text begins at
// base.
func (p *parser) next(dec *json.Decoder, base int) int {
	rest := p.content[base+int(dec.InputOffset()):]
	return len(p.content) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
}

// value reads one value of the file.
func (p *parser) value(raw json.RawMessage, at int) error {
	if raw[0] == '[' {
		return p.members(raw, at)
	}
	if raw[0] == '{' {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(raw, &fields); err != nil {
			return p.wrong(at, "the JSON that begins here is broken: %v", err)
		}
		objects := len(fields) > 0
		for _, value := range fields {
			objects = objects && value[0] == '{'
		}
		if objects {
			return p.members(raw, at)
		}
	}
	return p.entry(raw, at)
}

// members reads the entries of an array, or those that are the values of an
// object.
func (p *parser) members(raw json.RawMessage, base int) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	for err == nil && dec.More() {
		if open == json.Delim('{') {
			if _, err = dec.Token(); err != nil {
				break
			}
		}
		at := p.next(dec, base)
		var member json.RawMessage
		if err = dec.Decode(&member); err != nil {
			break
		}
		if err := p.entry(member, at); err != nil {
			return err
		}
	}
	if err != nil {
		return p.wrong(p.next(dec, base), "the JSON that begins here is broken: %v", err)
	}
	return nil
}

// entry reads one prompt, or all those of an object.
func (p *parser) entry(raw json.RawMessage, at int) error {
	line := p.lineAt(at)
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return p.wrong(at, "the text cannot be read: %v", err)
		}
		p.add(text, line)
		return nil
	}
	if raw[0] != '{' {
		return p.wrong(at, "an entry is %s: want a text, or an object with a prompt", clip(string(raw)))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return p.wrong(at, "the entry cannot be read: %v", err)
	}
	found := false
	names := slices.Sorted(maps.Keys(fields))
	for _, want := range promptFields {
		for _, name := range names {
			if strings.ToLower(name) != want {
				continue
			}
			var text string
			if err := json.Unmarshal(fields[name], &text); err != nil {
				return p.wrong(at, "field %s of the entry is %s: want a text", name, clip(string(fields[name])))
			}
			p.add(text, line)
			found = true
		}
	}
	if !found {
		return p.wrong(at, "the entry has no field of a prompt, but %s: %s", clip(strings.Join(names, ", ")), wantFields)
	}
	return nil
}

package manifests

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// Diff is what differs between two snapshots.
type Diff struct {
	From int `json:"from"`
	To   int `json:"to"`
	// Added and Removed are the identities of the pairs that only one of them
	// keeps, Changed of those whose rows differ, in ascending order.
	Added   []irgdata.Digest `json:"added"`
	Removed []irgdata.Digest `json:"removed"`
	Changed []irgdata.Digest `json:"changed"`
	// Counts are those that differ: of items, of the rows of each mode, and of
	// the rejects of each reason.
	Counts []CountChange `json:"counts"`
	// Settings are those that differ.
	Settings []SettingChange `json:"settings"`
}

// CountChange is a count before and after.
type CountChange struct {
	Name   string `json:"name"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
}

// SettingChange is a setting before and after, as JSON; empty where it was not
// set.
type SettingChange struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Compare tells what differs between two snapshots that were loaded and have
// not expired. It holds 128 bytes for each pair of the larger one.
func Compare(ctx context.Context, store blob.Store, from, to Snapshot) (Diff, error) {
	d := Diff{From: from.Number, To: to.Number, Counts: compareCounts(from.Counts, to.Counts)}
	var err error
	if d.Settings, err = CompareSettings(from.Settings, to.Settings); err != nil {
		return d, fmt.Errorf("compare snapshots %d and %d: %w", from.Number, to.Number, err)
	}
	if from.Members.Digest == to.Members.Digest {
		return d, nil
	}
	before, err := from.Members.sorted(ctx, store)
	if err != nil {
		return d, fmt.Errorf("compare snapshots %d and %d: %w", from.Number, to.Number, err)
	}
	after, err := to.Members.sorted(ctx, store)
	if err != nil {
		return d, fmt.Errorf("compare snapshots %d and %d: %w", from.Number, to.Number, err)
	}
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = bytes.Compare(before[0].ID[:], after[0].ID[:])
		}
		switch {
		case order < 0:
			d.Removed = append(d.Removed, before[0].ID)
		case order > 0:
			d.Added = append(d.Added, after[0].ID)
		case before[0].Row != after[0].Row:
			d.Changed = append(d.Changed, after[0].ID)
		}
		if order <= 0 {
			before = before[1:]
		}
		if order >= 0 {
			after = after[1:]
		}
	}
	return d, nil
}

// sorted reads the members in the order of their identities.
func (m Members) sorted(ctx context.Context, store blob.Store) ([]Member, error) {
	var members []Member // not of m.Count: that may be anything
	if err := m.Each(ctx, store, func(member Member) { members = append(members, member) }); err != nil {
		return nil, err
	}
	slices.SortFunc(members, func(a, b Member) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return members, nil
}

func compareCounts(from, to Counts) []CountChange {
	list := func(c Counts) map[string]int64 {
		named := map[string]int64{"items": c.Items, "trajectories": c.Trajectories, "rejected": c.Rejected}
		for _, m := range c.Modes {
			named["rows of "+m.Mode] = m.Rows
		}
		for _, r := range c.Reasons {
			named[strings.TrimSpace(strings.Join([]string{"rejects of", r.Stage, r.Rule, r.Mode}, " "))] = r.Count
		}
		return named
	}
	before, after := list(from), list(to)
	var changes []CountChange
	for _, name := range union(before, after) {
		if before[name] != after[name] {
			changes = append(changes, CountChange{name, before[name], after[name]})
		}
	}
	return changes
}

// CompareSettings lists the settings that differ, by name.
func CompareSettings(from, to Settings) ([]SettingChange, error) {
	before, err := from.list()
	if err != nil {
		return nil, err
	}
	after, err := to.list()
	if err != nil {
		return nil, err
	}
	var changes []SettingChange
	for _, name := range union(before, after) {
		if before[name] != after[name] {
			changes = append(changes, SettingChange{name, before[name], after[name]})
		}
	}
	return changes, nil
}

// list gives each setting a name, such as "rules.size.threshold", and its value.
// What a list of settings names has that name, not its place in the list.
func (s Settings) list() (map[string]string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	named := map[string]string{}
	add := func(name string, v any) error {
		if text, ok := v.(string); ok {
			named[name] = text
			return nil
		}
		text, err := json.Marshal(v)
		named[name] = string(text)
		return err
	}
	addFields := func(name string, fields map[string]any) error {
		for field, v := range fields {
			if err := add(name+"."+field, v); err != nil {
				return err
			}
		}
		return nil
	}
	for key, value := range tree {
		switch value := value.(type) {
		case map[string]any:
			err = addFields(key, value)
		case []any:
			for _, element := range value {
				name, rest := nameOf(element)
				fields, object := rest.(map[string]any)
				switch {
				case name == "":
					err = fmt.Errorf("an element of setting %s has no name", key)
				case object && len(fields) > 0:
					err = addFields(key+"."+name, fields)
				case object:
					err = add(key+"."+name, true)
				default:
					err = add(key+"."+name, rest)
				}
				if err != nil {
					return nil, err
				}
			}
		default:
			err = add(key, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return named, nil
}

// nameOf parts an element of a list of settings into its name and the rest:
// "draft/1" into draft and 1, an object by its field name, role or rule.
func nameOf(element any) (name string, rest any) {
	switch e := element.(type) {
	case string:
		name, version, versioned := strings.Cut(e, "/")
		if !versioned {
			return name, true
		}
		return name, version
	case map[string]any:
		for _, field := range []string{"name", "role", "rule"} {
			text, ok := e[field].(string)
			if !ok {
				continue
			}
			delete(e, field)
			name, version, versioned := strings.Cut(text, "/")
			if versioned {
				e["version"] = version
			}
			return name, e
		}
	}
	return "", nil
}

// union lists the names of both, in alphabetical order.
func union[V cmp.Ordered](a, b map[string]V) []string {
	names := maps.Clone(a)
	maps.Copy(names, b)
	return slices.Sorted(maps.Keys(names))
}

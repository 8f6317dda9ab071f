package loader

import (
	"cmp"
	"slices"
)

// Report is what the loader reads of an export, and what it does not.
type Report struct {
	Ranks   int    `json:"ranks"`
	Workers int    `json:"workers"`
	Seed    uint64 `json:"data_seed"`
	// Limit is max_num_tokens_per_sample, and TextTokens says whether the
	// tokens of texts were counted.
	Limit      int          `json:"max_tokens"`
	TextTokens bool         `json:"text_tokens"`
	Modes      []ModeReport `json:"modes"`
	// Lacks says what packs of all that is read lack.
	Lacks []Lack `json:"lacks,omitempty"`
}

// ModeReport is about one mode. Rows = Read + Dropped + Unread.
type ModeReport struct {
	Mode      string `json:"mode"`
	Files     int    `json:"files"`
	RowGroups int    `json:"row_groups"`
	// Stops says why the training ends with an exception at once; "" if not.
	Stops string `json:"stops,omitempty"`
	Rows  Count  `json:"rows"`
	// Read is trained on, Dropped is dealt to a reader that passes it over, and
	// Unread is dealt to none.
	Read    Count `json:"read"`
	Dropped Count `json:"dropped"`
	Unread  Count `json:"unread"`
	// Parts are those that rows which are read have lost.
	PartsLost int64 `json:"parts_lost"`
	// Starved are the readers with nothing to read, which wait for ever, and
	// the training with them.
	Starved int `json:"starved_readers"`
	// Longest is the most tokens of a row that is read.
	Longest  int     `json:"longest"`
	Findings []Tally `json:"findings,omitempty"`
	// UnreadGroups are the row groups that are dealt to nobody.
	UnreadGroups []RowGroup `json:"unread_row_groups,omitempty"`

	counted tallies
	brings  brought // by the rows that are read
}

// RowGroup names a row group of a file, from 0.
type RowGroup struct {
	File  string `json:"file"` // under the export
	Index int    `json:"row_group"`
}

// Count counts rows and what is in them. A row group that cannot be read has
// rows and nothing in them.
type Count struct {
	Rows   int64 `json:"rows"`
	Images int64 `json:"images"`
	Tokens int64 `json:"tokens"`
}

func (c *Count) add(o Count) {
	c.Rows += o.Rows
	c.Images += o.Images
	c.Tokens += o.Tokens
}

// Tally counts the findings of one rule.
type Tally struct {
	Rule string `json:"rule"`
	// Rows that are lost by it, and Texts, Images and other parts of rows that
	// are read; Read says that these parts are trained on all the same.
	Rows   int64 `json:"rows,omitempty"`
	Texts  int64 `json:"texts,omitempty"`
	Images int64 `json:"images,omitempty"`
	Parts  int64 `json:"parts,omitempty"`
	Files  int64 `json:"files,omitempty"`
	Read   bool  `json:"read,omitempty"`
	// Where and Detail are of the first case.
	Where  string `json:"where"`
	Detail string `json:"detail"`
}

// tallies are kept by rule.
type tallies map[string]Tally

// add counts a tally to those of its rule.
func (t *tallies) add(n Tally) {
	if *t == nil {
		*t = tallies{}
	}
	sum, ok := (*t)[n.Rule]
	if !ok {
		(*t)[n.Rule] = n
		return
	}
	sum.Rows += n.Rows
	sum.Texts += n.Texts
	sum.Images += n.Images
	sum.Parts += n.Parts
	sum.Files += n.Files
	(*t)[n.Rule] = sum
}

// list gives the tallies, what is lost before what is read.
func (t tallies) list() []Tally {
	var all []Tally
	for _, n := range t {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Tally) int {
		if a.Read != b.Read {
			return cmp.Compare(weight(a.Read), weight(b.Read))
		}
		return cmp.Or(-cmp.Compare(a.Rows, b.Rows), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

func weight(read bool) int {
	if read {
		return 1
	}
	return 0
}

// Whole reports whether everything is read as it was written, and can be trained
// on.
func (r Report) Whole() bool { return r.AllRead() && len(r.Lacks) == 0 }

// AllRead reports whether everything is read as it was written.
func (r Report) AllRead() bool {
	return !slices.ContainsFunc(r.Modes, func(m ModeReport) bool { return !m.Whole() })
}

// Whole reports whether everything of the mode is read as it was written.
func (m ModeReport) Whole() bool {
	return m.Stops == "" && m.Starved == 0 && m.Read.Rows == m.Rows.Rows && len(m.Findings) == 0
}

package ingest

import (
	"math"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/minhash"
	"github.com/irgdata/irgdata/internal/pdq"
)

// Entry is what ingest made of an item: a pair, or the reason why it is none.
// It is what the catalog keeps.
type Entry struct {
	Key      string           `json:"key"`
	Prompt   string           `json:"prompt,omitempty"`
	Language string           `json:"language,omitempty"`
	Image    irgdata.ImageRef `json:"image,omitzero"`
	License  string           `json:"license,omitempty"`
	URL      string           `json:"url,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
	// Hash and Quality are those of the image, by package pdq.
	Hash    pdq.Hash256 `json:"pdq,omitzero"`
	Quality int         `json:"quality,omitempty"`

	// Rule and Reason are set when the item is no pair.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Retry says that the reason may be another one the next time: a server
	// that did not answer. The item is tried again by the next run.
	Retry bool `json:"retry,omitempty"`
	// Limits are those under which a download was refused for good: under
	// others it is tried again. See [Options.Limits].
	Limits string `json:"limits,omitempty"`

	// Purged is set when the item was removed: Rule is then ruleRemoved, and of what
	// the item says nothing is left.
	Purged *Purged `json:"purged,omitempty"`
}

// Purged is what keeps an item out that was removed, and what says nearly the same,
// once its texts are gone.
type Purged struct {
	// ID is the pair's identity; zero for an item that was no pair.
	ID     irgdata.Digest    `json:"id,omitzero"`
	Prompt minhash.Signature `json:"prompt,omitzero"`
	// Removal is the number of the removal, and Source says that it took out the
	// whole source.
	Removal int  `json:"removal"`
	Source  bool `json:"source,omitempty"`
}

// unfinished reports whether it is the mark of a unit that was not read whole.
func (e Entry) unfinished() bool { return e.Retry && e.Key == "" }

// ruleRemoved is the rule of items that must not be in the dataset.
const ruleRemoved = "removed"

// purge takes from the entry of a removed item what it says: texts and address. Its
// place and hashes stay.
func (e Entry) purge(r removed) Entry {
	if e.Purged != nil {
		return e
	}
	return Entry{
		Key: e.Key, Image: e.Image, Hash: e.Hash, Quality: e.Quality, Rule: ruleRemoved,
		Purged: &Purged{ID: e.id(), Prompt: e.signature(), Removal: r.Removal, Source: r.Source},
	}
}

// id is the identity of the entry's pair, zero if it is none.
func (e Entry) id() irgdata.Digest {
	switch {
	case e.Purged != nil:
		return e.Purged.ID
	case e.Rule != "":
		return irgdata.Digest{}
	}
	return irgdata.PairID(e.Prompt, e.Image.Digest)
}

// signature is that of the prompt of the entry's pair.
func (e Entry) signature() minhash.Signature {
	switch {
	case e.Purged != nil:
		return e.Purged.Prompt
	case e.Rule != "":
		return minhash.Signature{}
	}
	return minhash.Of(e.Prompt)
}

// pair makes the pair of an entry of the named source.
func (e Entry) pair(source, license string) irgdata.Pair {
	p := irgdata.Pair{Prompt: e.Prompt, Language: e.Language, Image: e.Image, Source: source, Key: e.Key, License: e.License, URL: e.URL, Notes: e.Notes}
	if p.License == "" {
		p.License = license
	}
	p.ID = e.id()
	return p
}

func reject(p irgdata.Pair, rule, reason string) irgdata.Item[irgdata.Pair] {
	return irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: p, Stage: "ingest", Rule: rule, Reason: reason, Score: math.NaN()}}
}

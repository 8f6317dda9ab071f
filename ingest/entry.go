package ingest

import (
	"math"

	"github.com/irgdata/irgdata"
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
}

// pair makes the pair of an entry of the named source.
func (e Entry) pair(source, license string) irgdata.Pair {
	p := irgdata.Pair{Prompt: e.Prompt, Language: e.Language, Image: e.Image, Source: source, Key: e.Key, License: e.License, URL: e.URL, Notes: e.Notes}
	if p.License == "" {
		p.License = license
	}
	if e.Rule == "" {
		p.ID = irgdata.PairID(p.Prompt, p.Image.Digest)
	}
	return p
}

func reject(p irgdata.Pair, rule, reason string) irgdata.Item[irgdata.Pair] {
	return irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: p, Stage: "ingest", Rule: rule, Reason: reason, Score: math.NaN()}}
}

// Package ingest reads raw text-image pairs from sources, in a fixed order,
// and keeps their images. What cannot be a pair becomes a reject.
package ingest

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
)

// Raw is a pair as a source gives it, before anything was checked.
type Raw struct {
	// Key is the item's place in its source.
	Key string
	// Caption is the prompt, and Encoded the image's bytes.
	Caption string
	Encoded []byte
	License string
	URL     string
	// Problem, unless empty, says why the item is no pair, and Rule names the
	// kind of problem.
	Rule, Problem string
}

// Source yields raw pairs, each time in the same order. An error ends the run;
// a broken item is a Raw with a Problem.
type Source interface {
	// Name names the source in pairs and rejects.
	Name() string
	Pairs(ctx context.Context) iter.Seq2[Raw, error]
}

// Options say how much is read, and how.
type Options struct {
	// Limit is the most items read of all sources together; 0 means all.
	Limit int
	// Sample is the part of the items to read, by a draw that is always the
	// same for an item; 0 means all.
	Sample float64
	// Workers decode images at one time.
	Workers int
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	if o.Limit < 0 {
		return fmt.Errorf("limit is %d: want a number of items, or 0 for all", o.Limit)
	}
	if !(o.Sample >= 0 && o.Sample <= 1) {
		return fmt.Errorf("sample is %v: want a part of all items between 0 and 1", o.Sample)
	}
	return nil
}

// Keep makes an image durable before its pair is seen by anybody.
type Keep func(ctx context.Context, encoded []byte) error

// Open reads the sources one after another. Exact duplicates (the same prompt
// and the same image bytes) are rejected in favour of the first. It holds
// Workers items, and about 80 bytes for each pair seen.
func Open(ctx context.Context, sources []Source, o Options, keep Keep) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	items := flow.Map(ctx, read(ctx, sources, o), flow.Options{Workers: o.Workers}, func(ctx context.Context, r sourced) (irgdata.Item[irgdata.Pair], error) {
		item := admit(r)
		if item.Reject != nil {
			return item, nil
		}
		if err := keep(ctx, r.raw.Encoded); err != nil {
			return item, fmt.Errorf("ingest %s of source %s: %w", r.raw.Key, r.source, err)
		}
		return item, nil
	})
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		seen := map[irgdata.Digest]struct{}{}
		for item, err := range items {
			if err == nil && item.Reject == nil {
				if _, duplicate := seen[item.Value.ID]; duplicate {
					item = reject(item.Value, "duplicate", "an earlier pair has the same prompt and the same image")
				}
				seen[item.Value.ID] = struct{}{}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// sourced is a raw item and the name of its source.
type sourced struct {
	source string
	raw    Raw
}

// read yields the items that the options ask for.
func read(ctx context.Context, sources []Source, o Options) iter.Seq2[sourced, error] {
	return func(yield func(sourced, error) bool) {
		n := 0
		for _, source := range sources {
			for raw, err := range source.Pairs(ctx) {
				if err != nil {
					yield(sourced{}, fmt.Errorf("ingest source %s: %w", source.Name(), err))
					return
				}
				if !o.draws(source.Name(), raw.Key) {
					continue
				}
				if !yield(sourced{source.Name(), raw}, nil) {
					return
				}
				if n++; n == o.Limit {
					return
				}
			}
		}
	}
}

// draws reports whether the item at this place is in the sample.
func (o Options) draws(source, key string) bool {
	if o.Sample == 0 || o.Sample == 1 {
		return true
	}
	d := irgdata.NewDigester("sample/1").Text(source).Text(key).Sum()
	return float64(binary.BigEndian.Uint64(d[:]))/math.MaxUint64 < o.Sample
}

// admit makes a pair of a raw item, or its reject.
func admit(r sourced) irgdata.Item[irgdata.Pair] {
	raw := r.raw
	p := irgdata.Pair{Prompt: raw.Caption, Source: r.source, Key: raw.Key, License: raw.License, URL: raw.URL}
	if raw.Problem != "" {
		return reject(p, raw.Rule, raw.Problem)
	}
	if p.Prompt == "" {
		return reject(p, "caption", "the caption is empty")
	}
	ref, err := images.Probe(raw.Encoded)
	if err != nil {
		return reject(p, "image", err.Error())
	}
	if _, err := images.Decode(raw.Encoded); err != nil {
		return reject(p, "image", fmt.Sprintf("the image does not decode to its end: %v", err))
	}
	p.Image = ref
	p.ID = irgdata.PairID(p.Prompt, ref.Digest)
	return irgdata.Item[irgdata.Pair]{Value: p}
}

func reject(p irgdata.Pair, rule, reason string) irgdata.Item[irgdata.Pair] {
	return irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: p, Stage: "ingest", Rule: rule, Reason: reason, Score: math.NaN()}}
}

// WithLicense gives the items of a source the given licence where the source
// itself says nothing of one.
func WithLicense(s Source, license string) Source {
	if license == "" {
		return s
	}
	return licensed{s, license}
}

type licensed struct {
	Source
	license string
}

// Pairs implements [Source].
func (l licensed) Pairs(ctx context.Context) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		for raw, err := range l.Source.Pairs(ctx) {
			if raw.License == "" {
				raw.License = l.license
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

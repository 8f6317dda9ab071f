// Package ingest reads raw text-image pairs from sources, in a fixed order,
// and keeps their images. What cannot be a pair becomes a reject.
package ingest

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/irgdata/irgdata"
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

// Open reads the sources one after another. Images go into the store, exact
// duplicates (the same prompt and the same image bytes) are rejected in favour
// of the first. It holds 32 bytes and map overhead, about 80 bytes in all, for
// each pair seen.
func Open(ctx context.Context, sources []Source, store *images.Store) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		seen := map[irgdata.Digest]struct{}{}
		for _, source := range sources {
			for raw, err := range source.Pairs(ctx) {
				var item irgdata.Item[irgdata.Pair]
				if err == nil {
					item, err = admit(ctx, source.Name(), raw, store, seen)
				}
				if err != nil {
					yield(irgdata.Item[irgdata.Pair]{}, fmt.Errorf("ingest source %s: %w", source.Name(), err))
					return
				}
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// admit makes a pair of a raw item, or its reject. An error is the store's.
func admit(ctx context.Context, source string, raw Raw, store *images.Store, seen map[irgdata.Digest]struct{}) (irgdata.Item[irgdata.Pair], error) {
	p := irgdata.Pair{Prompt: raw.Caption, Source: source, Key: raw.Key, License: raw.License, URL: raw.URL}
	reject := func(rule, format string, args ...any) (irgdata.Item[irgdata.Pair], error) {
		return irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: p, Stage: "ingest", Rule: rule, Reason: fmt.Sprintf(format, args...), Score: math.NaN()}}, nil
	}
	if raw.Problem != "" {
		return reject(raw.Rule, "%s", raw.Problem)
	}
	if p.Prompt == "" {
		return reject("caption", "the caption is empty")
	}
	ref, err := images.Probe(raw.Encoded)
	if err != nil {
		return reject("image", "%v", err)
	}
	if _, err := images.Decode(raw.Encoded); err != nil {
		return reject("image", "the image does not decode to its end: %v", err)
	}
	p.Image = ref
	p.ID = irgdata.PairID(p.Prompt, ref.Digest)
	if _, duplicate := seen[p.ID]; duplicate {
		return reject("duplicate", "an earlier pair has the same prompt and the same image")
	}
	seen[p.ID] = struct{}{}
	if _, err := store.Put(ctx, raw.Encoded); err != nil {
		return irgdata.Item[irgdata.Pair]{}, err
	}
	return irgdata.Item[irgdata.Pair]{Value: p}, nil
}

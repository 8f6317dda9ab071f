package ingest_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

// unitNumbers is a source whose units are numbers, with ten prompts each. Negative ones
// have no version.
type unitNumbers []int

func (unitNumbers) Name() string    { return "unitNumbers" }
func (unitNumbers) Options() string { return "" }

func (s unitNumbers) Units(context.Context) iter.Seq2[ingest.Unit, error] {
	return func(yield func(ingest.Unit, error) bool) {
		for _, n := range s {
			unit := ingest.Unit{Name: fmt.Sprint(n), Items: func(yield func(ingest.Raw, error) bool) {
				for i := range 10 {
					if !yield(ingest.Raw{Key: fmt.Sprintf("%d/%d", n, i), Caption: fmt.Sprintf("thing %d of unit %d", i, n), PromptOnly: true}, nil) {
						return
					}
				}
			}}
			if n >= 0 {
				unit.Version = irgdata.DigestOf(fmt.Append(nil, n))
			}
			if !yield(unit, nil) {
				return
			}
		}
	}
}

// TestInputsAreWatched: what is read is unsettled when it is not what was listed, and
// the items are right in any case, known or not.
func TestInputsAreWatched(t *testing.T) {
	r := newReader(t, defaults())
	feeds := func(units unitNumbers) []ingest.Feed { return []ingest.Feed{{Place: "/p", Source: units}} }
	listed := unitNumbers{1, 2}
	in, err := ingest.InputsOf(t.Context(), feeds(listed), r.admission, manifests.NewCatalog(r.store))
	if err != nil {
		t.Fatal(err)
	}
	for _, read := range []unitNumbers{{1, 2}, {1, -9, 2}, {1, 2, -9}, {-9, 1, 2}, {1, 3, 2}, {1}, {2, 1}, {1, 2, 3}, {1, 1, 2}, {}, {1, 2}} {
		unsettled := false
		r.o.Inputs, r.o.Unsettled = in, func() { unsettled = true }
		items, err := r.open(t.Context(), feeds(read)...)
		if err != nil {
			t.Fatal(err)
		}
		if unsettled == slices.Equal(read, listed) {
			t.Errorf("listed %v, read %v: unsettled %v", listed, read, unsettled)
		}
		var keys, want []string
		for _, item := range items {
			p := item.Value
			if item.Reject != nil { // of a unit that comes twice
				p = item.Reject.Pair
			}
			keys = append(keys, p.Key)
		}
		for _, n := range read {
			for i := range 10 {
				want = append(want, fmt.Sprintf("%d/%d", n, i))
			}
		}
		if !slices.Equal(keys, want) {
			t.Errorf("read %v: got %v", read, keys)
		}
		if in, err = ingest.InputsOf(t.Context(), feeds(listed), r.admission, manifests.NewCatalog(r.store)); err != nil {
			t.Fatal(err)
		}
	}
}

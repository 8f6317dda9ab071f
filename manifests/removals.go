package manifests

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// removalPrefix is the folder of the removals: what must not be in the dataset,
// now and later. They are numbered from 1, and none is ever taken back.
const removalPrefix = "removals/"

// Removal says which pairs must go.
type Removal struct {
	Number int    `json:"number"`
	Reason string `json:"reason,omitempty"`
	// IDs are of pairs, Images the digests of images of which every pair goes,
	// URLs those whose every image goes, Sources the names of whole sources.
	IDs     []irgdata.Digest `json:"ids,omitempty"`
	Images  []irgdata.Digest `json:"images,omitempty"`
	URLs    []string         `json:"urls,omitempty"`
	Sources []string         `json:"sources,omitempty"`
}

// Validate reports what is missing.
func (r Removal) Validate() error {
	if len(r.IDs)+len(r.Images)+len(r.URLs)+len(r.Sources) == 0 {
		return errors.New("a removal names nothing: want pairs, images, addresses or sources")
	}
	for _, u := range r.URLs {
		if _, err := url.Parse(u); err != nil || u == "" {
			return fmt.Errorf("%.200q is no address of an image", u)
		}
	}
	for _, s := range r.Sources {
		if s == "" {
			return errors.New("a source has an empty name")
		}
	}
	return nil
}

func removalKey(number int) string { return fmt.Sprintf("%s%06d.json", removalPrefix, number) }

// LostRemovalError says that a removal is not in the store any more.
type LostRemovalError struct {
	Number int
	url    string
}

func (e *LostRemovalError) Error() string {
	return fmt.Sprintf("removal %d is lost, and what it took out could come back: restore %s from a backup, or record it again with `irgdata remove --again %d` and what it named; `irgdata rejects --rule removed` has its pairs", e.Number, e.url, e.Number)
}

// checkLost gives a LostRemovalError if the snapshot, which was loaded before the
// removals, honours more than there are.
func (r *Removed) checkLost(store blob.Store, s Snapshot) error {
	if s.Settings.Removals > r.Newest {
		return &LostRemovalError{r.Newest + 1, store.URL(removalKey(r.Newest + 1))}
	}
	return nil
}

// CheckRemovals gives a LostRemovalError if a removal is lost.
func CheckRemovals(ctx context.Context, store blob.Store) error {
	newest, err := Latest(ctx, store)
	if err != nil && !errors.Is(err, ErrNoSnapshot) {
		return err
	}
	there, err := LoadRemoved(ctx, store)
	if err != nil {
		return err
	}
	return there.checkLost(store, newest)
}

// PutRemoval records a removal under the next number, or in the place of a lost one
// if it has that one's number; else a lost one is an error, as the next would hide
// it. When it returns, every later snapshot honours it: one that does not is refused
// by [Commit].
func PutRemoval(ctx context.Context, store blob.Store, r Removal) (Removal, error) {
	if err := r.Validate(); err != nil {
		return r, err
	}
	if r.Number > 0 {
		var lost *LostRemovalError
		switch err := CheckRemovals(ctx, store); {
		case !errors.As(err, &lost) && err != nil:
			return r, err
		case lost == nil:
			return r, fmt.Errorf("removal %d is not lost: record another one without its number", r.Number)
		case lost.Number != r.Number:
			return r, err
		}
		return r, putSealed(ctx, store, removalKey(r.Number), r)
	}
	for range maxRebase {
		if err := CheckRemovals(ctx, store); err != nil {
			return r, err
		}
		there, err := LoadRemoved(ctx, store)
		if err != nil {
			return r, err
		}
		r.Number = there.Newest + 1
		err = putSealed(ctx, store, removalKey(r.Number), r)
		if !errors.Is(err, blob.ErrExists) {
			return r, err
		}
	}
	return r, fmt.Errorf("record a removal: other runs were faster %d times: try again later", maxRebase)
}

// Removed is what the removals of a store say.
type Removed struct {
	// Newest is the number of the newest removal, 0 if there is none.
	Newest  int
	ids     map[irgdata.Digest]*Removal
	images  map[irgdata.Digest]*Removal
	urls    map[string]*Removal
	sources map[string]*Removal
	all     []*Removal
}

// LoadRemoved reads all removals. Their numbers have no gap, so that none can be
// lost unnoticed but the last, of which the snapshots know.
func LoadRemoved(ctx context.Context, store blob.Store) (*Removed, error) {
	r := &Removed{ids: map[irgdata.Digest]*Removal{}, images: map[irgdata.Digest]*Removal{}, urls: map[string]*Removal{}, sources: map[string]*Removal{}}
	for o, err := range store.List(ctx, removalPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the removals: %w", err)
		}
		number, err := strconv.Atoi(strings.TrimSuffix(path.Base(o.Key), ".json"))
		if err != nil || o.Key != removalKey(number) {
			continue // no object of ours
		}
		removal, err := loadSealed[Removal](ctx, store, o.Key)
		if err != nil {
			return nil, err
		}
		if removal.Number != number {
			return nil, fmt.Errorf("read %s: %w: it is removal %d", store.URL(o.Key), blob.ErrDamaged, removal.Number)
		}
		if number != r.Newest+1 {
			return nil, &LostRemovalError{r.Newest + 1, store.URL(removalKey(r.Newest + 1))}
		}
		r.add(&removal)
	}
	return r, nil
}

func (r *Removed) add(removal *Removal) {
	r.Newest, r.all = removal.Number, append(r.all, removal)
	for _, id := range removal.IDs {
		r.ids[id] = removal
	}
	for _, image := range removal.Images {
		r.images[image] = removal
	}
	for _, u := range removal.URLs {
		r.urls[u] = removal
	}
	for _, s := range removal.Sources {
		r.sources[s] = removal
	}
}

// Pair returns the removal that takes the pair out, or nil. Source says that it
// took out the whole source.
func (r *Removed) Pair(p irgdata.Pair) (removal *Removal, source bool) {
	if r == nil || r.Newest == 0 {
		return nil, false
	}
	if removal = r.ids[p.ID]; removal != nil && !p.ID.IsZero() {
		return removal, false
	}
	if removal = r.images[p.Image.Digest]; removal != nil && !p.Image.IsZero() {
		return removal, false
	}
	if removal = r.urls[p.URL]; removal != nil && p.URL != "" {
		return removal, false
	}
	removal = r.sources[p.Source]
	return removal, removal != nil
}

// Number returns the removal of that number, nil if there is none.
func (r *Removed) Number(n int) *Removal {
	if r == nil || n < 1 || n > len(r.all) {
		return nil
	}
	return r.all[n-1]
}

// IDs lists the identities of pairs that were removed as such.
func (r *Removed) IDs() []irgdata.Digest { return slices.Collect(maps.Keys(r.ids)) }

// Images lists the digests of images that were removed as such.
func (r *Removed) Images() []irgdata.Digest { return slices.Collect(maps.Keys(r.images)) }

package manifests

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
)

// tagPrefix is the folder of the tags: names of snapshots, such as v1.0. A tag
// is written once, so that a name means the same data for ever.
const tagPrefix = "tags/"

// Tag is a name of a snapshot.
type Tag struct {
	Name     string `json:"name"`
	Snapshot int    `json:"snapshot"`
}

// ErrName says that a text can be no number and no tag of any snapshot, or not the
// tag that it is to be.
var ErrName = errors.New("is no name for a snapshot")

var tagName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// checkTag refuses names that are no file names everywhere, or that could be
// taken for a number.
func checkTag(name string) error {
	if _, err := strconv.Atoi(name); err == nil || !tagName.MatchString(name) || strings.HasSuffix(name, ".") {
		return fmt.Errorf("%q %w: want a tag of up to 100 letters, digits, dots, dashes and underscores that is no number, such as v1.0", name, ErrName)
	}
	return nil
}

func tagKey(name string) string { return tagPrefix + name + ".json" }

// ErrTagTaken says that a tag names another snapshot already.
var ErrTagTaken = errors.New("the tag is taken")

// PutTag names a snapshot that is there. A tag that names it already is left
// as it is.
func PutTag(ctx context.Context, store blob.Store, t Tag) error {
	if err := checkTag(t.Name); err != nil {
		return err
	}
	if _, err := Load(ctx, store, t.Snapshot); err != nil {
		return err
	}
	err := putSealed(ctx, store, tagKey(t.Name), t)
	if !errors.Is(err, blob.ErrExists) {
		return err
	}
	there, err := loadSealed[Tag](ctx, store, tagKey(t.Name))
	if err == nil && there != t {
		err = fmt.Errorf("%w: %s is snapshot %d, and a tag is for ever: take another name", ErrTagTaken, t.Name, there.Snapshot)
	}
	return err
}

// Tags lists the tags of the store, by name.
func Tags(ctx context.Context, store blob.Store) ([]Tag, error) {
	var tags []Tag
	for o, err := range store.List(ctx, tagPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the tags: %w", err)
		}
		t, err := loadSealed[Tag](ctx, store, o.Key)
		if err != nil {
			return nil, err
		}
		if o.Key != tagKey(t.Name) {
			return nil, fmt.Errorf("read %s: it holds the tag %q", store.URL(o.Key), t.Name)
		}
		tags = append(tags, t)
	}
	return tags, nil
}

// Resolve gives the number of the snapshot that ref names: by its number or by
// a tag.
func Resolve(ctx context.Context, store blob.Store, ref string) (int, error) {
	if number, err := strconv.Atoi(ref); err == nil {
		if number < 1 {
			return 0, fmt.Errorf("%q %w: want a number from 1, as `irgdata log` lists them", ref, ErrName)
		}
		return number, nil
	}
	if err := checkTag(ref); err != nil {
		return 0, err
	}
	t, err := loadSealed[Tag](ctx, store, tagKey(ref))
	if errors.Is(err, blob.ErrNotExist) {
		return 0, fmt.Errorf("%w as %s: `irgdata log` lists snapshots and their tags", ErrNoSnapshot, ref)
	}
	return t.Snapshot, err
}

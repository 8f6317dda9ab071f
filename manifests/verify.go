package manifests

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// VerifyOptions say how closely to look.
type VerifyOptions struct {
	// Full reads every byte and decodes every row; else the manifest and the
	// sizes of its shards are checked.
	Full bool
	// Work is a folder for the copy of one shard at a time.
	Work string
}

// Report is what a verification found.
type Report struct {
	Shards int
	Rows   int64
	Bytes  int64
	// Objects counts the images and ledger segments of the store that were
	// read, which a full verification does.
	Objects int
	// Problems name the object and what is wrong with it; none means that the
	// snapshot is sound.
	Problems []string
}

// Verify checks a snapshot whose manifest was loaded, and with Full everything
// else in the store as well, the other snapshots included. Damage is in the
// report; an error means that the store could not be read.
func Verify(ctx context.Context, store blob.Store, s Snapshot, o VerifyOptions) (Report, error) {
	var r Report
	seen := map[string]bool{} // keys of shards
	if err := r.verifyShards(ctx, store, s, o, seen); err != nil {
		return r, err
	}
	if !o.Full {
		return r, nil
	}
	if _, err := Identity(ctx, store); err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", store.URL(identityKey), err))
	}
	numbers, err := Numbers(ctx, store)
	if err != nil {
		return r, err
	}
	expired, err := Expired(ctx, store)
	if err != nil {
		return r, err
	}
	for i, number := range numbers {
		if number != i+1 {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: it is not there, and a later snapshot is", store.URL(Key(i+1))))
			break
		}
		other, err := Load(ctx, store, number)
		if err != nil {
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			r.Problems = append(r.Problems, err.Error())
			continue
		}
		r.Objects++
		if _, gone := expired[number]; gone {
			continue // its shards may be gone
		}
		if err := r.verifyShards(ctx, store, other, o, seen); err != nil {
			return r, err
		}
		if _, err := LoadAccount(ctx, store, number); err != nil && !errors.Is(err, blob.ErrNotExist) {
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			r.Problems = append(r.Problems, err.Error())
		}
	}
	if err := r.verifyCatalog(ctx, store); err != nil {
		return r, err
	}
	// All other objects are named by their digest.
	for _, prefix := range []string{"images/", segmentPrefix, memberPrefix} {
		for object, err := range store.List(ctx, prefix) {
			if err != nil {
				return r, fmt.Errorf("verify %s: %w", store.URL(prefix), err)
			}
			name, _, _ := strings.Cut(path.Base(object.Key), ".")
			digest, err := irgdata.ParseDigest(name)
			if err != nil {
				r.Problems = append(r.Problems, fmt.Sprintf("%s: it has no name of ours", store.URL(object.Key)))
				continue
			}
			if err := blob.Verify(ctx, store, object.Key, digest); err != nil {
				if ctx.Err() != nil {
					return r, ctx.Err()
				}
				r.Problems = append(r.Problems, err.Error())
			}
			r.Objects++
			r.Bytes += object.Size
		}
	}
	return r, nil
}

// verifyCatalog decodes each record of the catalog.
func (r *Report) verifyCatalog(ctx context.Context, store blob.Store) error {
	for object, err := range store.List(ctx, catalogPrefix) {
		if err != nil {
			return fmt.Errorf("verify %s: %w", store.URL(catalogPrefix), err)
		}
		encoded, err := blob.ReadAll(ctx, store, object.Key, maxRecord)
		if err == nil {
			_, _, err = decodeRecord(encoded)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", store.URL(object.Key), err))
		}
		r.Objects++
		r.Bytes += object.Size
	}
	return nil
}

// verifyShards checks the shards of a snapshot that were not seen before, and
// that its members are there.
func (r *Report) verifyShards(ctx context.Context, store blob.Store, s Snapshot, o VerifyOptions, seen map[string]bool) error {
	if s.Members.Count > 0 {
		object, err := store.Stat(ctx, s.Members.Key)
		switch {
		case errors.Is(err, blob.ErrNotExist):
			r.Problems = append(r.Problems, err.Error())
		case err != nil:
			return fmt.Errorf("verify snapshot %d: %w", s.Number, err)
		case object.Size != s.Members.size():
			r.Problems = append(r.Problems, fmt.Sprintf("%s: it has %d bytes, want %d", store.URL(s.Members.Key), object.Size, s.Members.size()))
		}
	}
	for _, shard := range slices.Concat(s.Shards, s.Rejects) {
		if seen[shard.Key] {
			continue
		}
		seen[shard.Key] = true
		problem, err := verifyShard(ctx, store, shard, o)
		if err != nil {
			return fmt.Errorf("verify snapshot %d: %w", s.Number, err)
		}
		r.Shards++
		r.Rows += shard.Rows
		r.Bytes += shard.Size
		if problem != "" {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s", store.URL(shard.Key), problem))
		}
	}
	return nil
}

// verifyShard returns what is wrong with a shard, or "".
func verifyShard(ctx context.Context, store blob.Store, shard Shard, o VerifyOptions) (problem string, err error) {
	object, err := store.Stat(ctx, shard.Key)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return "it is not there", nil
	case err != nil:
		return "", err
	case object.Size != shard.Size:
		return fmt.Sprintf("it has %d bytes, want %d", object.Size, shard.Size), nil
	case !o.Full:
		return "", nil
	}
	file, err := blob.Spool(ctx, store, shard.Key, shard.Size, shard.Digest, o.Work)
	if err != nil {
		return err.Error(), ctx.Err()
	}
	defer file.Close()
	reader, err := parquet.NewReader(file)
	if err != nil {
		return err.Error(), nil
	}
	if reader.NumRows() != shard.Rows || len(reader.RowGroups()) != shard.RowGroups {
		return fmt.Sprintf("it has %d rows in %d row groups, want %d in %d", reader.NumRows(), len(reader.RowGroups()), shard.Rows, shard.RowGroups), nil
	}
	var names []string
	for _, c := range reader.Columns() {
		names = append(names, c.Name)
	}
	var rows int64
	for row, err := range reader.Rows(ctx, names...) {
		if err != nil {
			return err.Error(), ctx.Err()
		}
		if problem := verifyRow(row); problem != "" {
			return fmt.Sprintf("row %d: %s", rows, problem), nil
		}
		rows++
	}
	if rows != shard.Rows {
		return fmt.Sprintf("%d rows can be read, want %d", rows, shard.Rows), nil
	}
	return "", nil
}

// verifyRow compares each image with the digest that is its path.
func verifyRow(row parquet.Row) string {
	for _, cell := range row {
		picture, ok := cell.(parquet.Image)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(path.Base(picture.Path), ".")
		if got := irgdata.DigestOf(picture.Bytes).String(); got != name {
			return fmt.Sprintf("the image %s has digest %s", picture.Path, got)
		}
	}
	return ""
}

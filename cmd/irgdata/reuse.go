package main

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/manifests"
)

// base is what a build is built upon: the snapshot before, of which it takes
// over what it would make again to the same bytes.
type base struct {
	snapshot manifests.Snapshot // number 0 for none
	from     manifests.Provenance
	previous *export.Previous
	inputs   ingest.Inputs // at the beginning
	settings irgdata.Digest
	partKey  irgdata.Digest // see partKey
}

// openBase looks at the snapshot before and at the sources. The caller closes the
// base's previous.
func (d *dataset) openBase(ctx context.Context, before manifests.Snapshot) (b base, err error) {
	b.snapshot = before
	if d.removed, err = manifests.LoadRemoved(ctx, d.store); err != nil {
		return b, err
	}
	if before.Number > 0 {
		if b.from, err = manifests.LoadProvenance(ctx, d.store, before); err != nil {
			return b, err
		}
	}
	if b.inputs, err = ingest.InputsOf(ctx, d.feeds, d.admission, manifests.NewCatalog(d.store)); err != nil {
		return b, err
	}
	if b.settings, err = d.settings().Digest(); err != nil {
		return b, err
	}
	if b.partKey, err = d.partKey(ctx); err != nil {
		return b, err
	}
	b.previous, err = export.OpenPrevious(ctx, d.store, before, b.from, d.config.path(d.config.Work))
	return b, err
}

// unchanged reports whether a build would make the same snapshot again.
func (d *dataset) unchanged(b base) bool {
	if b.from.Inputs.IsZero() || !b.previous.Whole() || d.config.retryDownloads || d.config.reread {
		return false
	}
	return d.inputsDigest(b, b.inputs) == b.from.Inputs
}

// inputsDigest is that of all that decides a snapshot; zero if it cannot be
// told.
func (d *dataset) inputsDigest(b base, in ingest.Inputs) irgdata.Digest {
	if in.Units.IsZero() {
		return irgdata.Digest{}
	}
	return irgdata.NewDigester("inputs/1").Digest(b.partKey).Digest(b.settings).Text(d.config.download().Limits()).Digest(in.Records).Sum()
}

// partKey is the digest of all that decides what becomes of a part of the items,
// besides these.
func (d *dataset) partKey(ctx context.Context) (irgdata.Digest, error) {
	s := d.settings()
	s.Limit, s.Sample, s.Sources, s.Ingest, s.Removals = 0, 0, nil, nil, 0 // they decide the items
	settings, err := s.Digest()
	if err != nil {
		return settings, err
	}
	calls, err := d.annotator.CallsDigest()
	if err != nil {
		return calls, err
	}
	lost, err := manifests.LostMarks(ctx, d.store)
	if err != nil {
		return lost, err
	}
	doubles, err := d.ledger.DoublesDigest(ctx)
	if err != nil {
		return doubles, err
	}
	shards := d.config.Shards
	key := irgdata.NewDigester("part/1").Text(codeIdentity()).Digest(settings).Digest(calls).Digest(lost).Digest(doubles)
	return key.Uint(uint64(shards.Size)).Uint(uint64(shards.RowGroup)).Uint(uint64(shards.RowGroupRows)).Text(fmt.Sprint(d.parts)).Sum(), nil
}

// inParts reports whether what becomes of an item is a matter of its own: what is
// selected from the dataset as a whole is not.
func (d *dataset) inParts() bool { return !filter.Selects(d.selectOptions()) }

// keepProvenance lays beside the snapshot what it was made from.
func (d *dataset) keepProvenance(ctx context.Context, b base, r result, parts []manifests.Part) error {
	if r.unchanged {
		return manifests.PutProvenance(ctx, d.store, r.snapshot, b.from)
	}
	from := manifests.Provenance{Calls: int64(r.calls.Made + r.calls.Reused), Parts: parts}
	if !d.unsettled && r.calls.Failed+r.calls.Invalid == 0 {
		now, err := b.inputs.Recorded(ctx, d.catalog)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // the snapshot is published
			d.log.Warn("the next build reads the catalog again: what it holds cannot be told", "error", err)
		default:
			from.Inputs = d.inputsDigest(b, now)
		}
	}
	return manifests.PutProvenance(ctx, d.store, r.snapshot, from)
}

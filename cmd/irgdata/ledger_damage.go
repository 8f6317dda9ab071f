package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// checkLedger names what is damaged in the local ledger, if there is one.
func (d *dataset) checkLedger(ctx context.Context, out io.Writer) error {
	id, err := manifests.Identity(ctx, d.store)
	if errors.Is(err, blob.ErrNotExist) {
		return nil // verify has named it
	}
	if err != nil {
		return err
	}
	path := d.ledgerPath(id)
	problems, err := manifests.CheckLedger(ctx, path)
	if err != nil || len(problems) == 0 {
		return err
	}
	sayDamaged(out, path, problems)
	return fmt.Errorf("the local ledger %s is damaged: %s: `irgdata verify --repair` makes good what can be", path, plural(int64(len(problems)), "problem"))
}

// mendLedger makes the local ledger anew if it is damaged. The caller has its lock.
func (d *dataset) mendLedger(ctx context.Context, path string, out io.Writer, mended func(key, how string)) error {
	problems, err := manifests.CheckLedger(ctx, path)
	if err != nil || len(problems) == 0 {
		return err
	}
	sayDamaged(out, path, problems)
	kept, err := manifests.MendLedger(ctx, path, d.store)
	if err != nil {
		return err
	}
	mended(path, fmt.Sprintf("made anew of the %s that could be read; the next build adds what the store has", plural(int64(kept), "call")))
	return nil
}

func sayDamaged(out io.Writer, path string, problems []string) {
	for _, p := range problems {
		fmt.Fprintf(out, "%s: %s\n", path, p)
	}
}

package export

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/lock"
)

// ToFolder publishes an export as the folder dir, whole or not at all: it is
// written beside its place and renamed, by one process of this machine at a time
// ([ErrBusy]). What a broken export left there is removed first, unless it notes its
// progress, for write to go on from. If an export is in dir already, write is called on
// it as it is, to find that nothing is to be done; if dir is there and has none, write
// fills it in its place.
func ToFolder(ctx context.Context, dir string, write func(ctx context.Context, dest blob.Store) error) error {
	inPlace := func() error {
		dest, err := blob.NewFile(dir)
		if err != nil {
			return err
		}
		return write(ctx, dest)
	}
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		return inPlace()
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	partial := filepath.Join(parent, ".partial-"+filepath.Base(dir))
	unlock, err := lock.File(partial + ".lock")
	if errors.Is(err, lock.ErrHeld) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil { // perhaps another process has just ended with it
		return inPlace()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	clear := func() error { // after the renaming there is none
		if _, err := os.Stat(filepath.Join(partial, progressName)); err == nil {
			return nil
		}
		return os.RemoveAll(partial)
	}
	if err := clear(); err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	defer clear()
	dest, err := blob.NewFile(partial)
	if err != nil {
		return err
	}
	if _, err := dest.Sweep(ctx, 24*time.Hour); err != nil { // of puts that were killed
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	if err := write(ctx, dest); err != nil {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("export to %s: %w", dir, err)
	}
	return syncDir(parent)
}

// ErrBusy says that another export to the same place is under way.
var ErrBusy = errors.New("another export to this place is under way: wait for it")

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

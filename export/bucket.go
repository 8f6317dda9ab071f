package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// ToBucket publishes an export at dest, a place in a bucket that is for it alone,
// whole or not at all. One run of any machine at a time writes there: it has a mark,
// as a [manifests.Run] that is alone. [ErrBusy] if another run has the place, or took
// this one for dead. If an export is there already, write is called on it without a
// mark, to find that nothing is to be done.
//
// A run that another one took for dead may wake up and go on. So it asks whether the
// place is still its own before it deletes, and when all of an object has been read,
// before that becomes visible. Between the answer and the deed it must not sleep for
// as long as a mark takes to count as dead.
func ToBucket(ctx context.Context, dest blob.Store, write func(ctx context.Context, dest blob.Store) error) error {
	c, err := claim(ctx, dest)
	if err != nil {
		return fmt.Errorf("export to %s: %w", strings.TrimSuffix(dest.URL(""), "/"), err)
	}
	if c == nil {
		err = write(ctx, dest)
	} else {
		err = write(ctx, c)
		err = errors.Join(err, c.run.End(ctx))
	}
	if err != nil {
		return err
	}
	return manifests.RemoveMarks(ctx, dest)
}

// claim takes the place for this run; nil if an export is there.
func claim(ctx context.Context, dest blob.Store) (*claimed, error) {
	if there, err := isThere(ctx, dest); err != nil || there {
		return nil, err
	}
	run, err := manifests.BeginAlone(ctx, dest, "export")
	if err == nil {
		return &claimed{Store: dest, run: run}, nil
	}
	if there, _ := isThere(ctx, dest); there { // it has just come, and its run removed all marks
		return nil, nil
	}
	if errors.Is(err, manifests.ErrRunning) || errors.Is(err, manifests.ErrTakenForDead) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return nil, err
}

// isThere reports whether an export is at dest.
func isThere(ctx context.Context, dest blob.Store) (bool, error) {
	_, err := dest.Stat(ctx, manifestName)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// claimed is the place of an export while a run has it.
type claimed struct {
	blob.Store
	run *manifests.Run
}

// Put implements [blob.Store].
func (c *claimed) Put(ctx context.Context, key string, body io.Reader, o blob.PutOptions) error {
	err := c.Store.Put(ctx, key, &heldBody{body, func() error { return c.held(ctx) }}, o)
	if err != nil || key != manifestName {
		return err
	}
	// If another run took the place while the manifest was under way, it removed
	// files that the manifest names. It cannot have published: this one came first.
	if err := c.held(ctx); err != nil {
		return errors.Join(err, c.Store.Delete(ctx, key))
	}
	return nil
}

// Delete implements [blob.Store].
func (c *claimed) Delete(ctx context.Context, key string) error {
	if err := c.held(ctx); err != nil {
		return err
	}
	return c.Store.Delete(ctx, key)
}

// held gives ErrBusy if another run took this one for dead.
func (c *claimed) held(ctx context.Context) error {
	err := c.run.Held(ctx)
	if errors.Is(err, manifests.ErrTakenForDead) {
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// heldBody asks at its end.
type heldBody struct {
	io.Reader
	held func() error
}

// Read implements [io.Reader].
func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if lost := b.held(); lost != nil {
			err = lost
		}
	}
	return n, err
}

// CloseWithError wakes the writer if the body is a pipe that nobody reads any more.
func (b *heldBody) CloseWithError(err error) error {
	if pipe, ok := b.Reader.(*io.PipeReader); ok {
		return pipe.CloseWithError(err)
	}
	return nil
}

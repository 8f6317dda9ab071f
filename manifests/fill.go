package manifests

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// fillRows is the number of calls that go to SQLite in one statement.
const fillRows = 64

// fillDecoders take segments apart. Two keep up with SQLite, and each holds a
// segment.
const fillDecoders = 2

// FillLedger makes the ledger at path of the store's segments, if there is none
// yet: what [Ledger.Pull] would do to an empty one, in a fraction of the time.
// It writes a file without a journal, and makes it durable and gives it its name
// when it is whole; so it may be broken off at any point. Nobody else may be
// about to make the same ledger.
func FillLedger(ctx context.Context, path string, store blob.Store) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("fill ledger: %w", err)
	}
	filling := path + ".filling" // a journal or a lock of an earlier one is not left
	if err := os.Remove(filling); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("fill ledger: %w", err)
	}
	f := filler{store: store, segments: map[irgdata.Digest]bool{}}
	if err := f.fill(ctx, filling); err != nil {
		return errors.Join(fmt.Errorf("fill ledger %s: %w", path, err), os.Remove(filling))
	}
	if err := publish(filling, path); err != nil {
		return fmt.Errorf("fill ledger %s: %w", path, err)
	}
	return nil
}

// publish makes a file durable and then gives it its name.
func publish(file, path string) error {
	sync := func(name string) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	if err := sync(file); err != nil {
		return err
	}
	if err := os.Rename(file, path); err != nil {
		return err
	}
	return sync(filepath.Dir(path))
}

// filler is a filling under way.
type filler struct {
	store    blob.Store
	lost     map[irgdata.Digest]bool
	purged   purged
	tx       *sql.Tx
	put      *sql.Stmt // of fillRows calls
	values   []any     // of the last of them
	recipes  recipeIDs
	segments map[irgdata.Digest]bool
}

func (f *filler) fill(ctx context.Context, path string) (err error) {
	if f.lost, err = lostImages(ctx, f.store); err != nil {
		return err
	}
	if _, err := f.purged.read(ctx, f.store); err != nil {
		return err
	}
	for _, name := range f.purged.names() {
		f.segments[name] = true // nothing of it comes into the ledger
	}
	db, err := openSQLite(path, url.Values{"_pragma": {
		"journal_mode(OFF)", "synchronous(OFF)", "locking_mode(EXCLUSIVE)", "cache_size(-32768)",
	}})
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := prepare(ctx, db); err != nil {
		return err
	}
	if f.tx, err = db.BeginTx(ctx, nil); err != nil {
		return err
	}
	defer f.tx.Rollback() // after Commit it does nothing
	if _, err := f.tx.ExecContext(ctx, `DROP INDEX calls_asked`); err != nil {
		return err
	}
	places := strings.TrimSuffix(strings.Repeat("("+insertPlaces+"), ", fillRows), ", ")
	if f.put, err = f.tx.PrepareContext(ctx, `INSERT INTO calls (`+insertColumns+`) VALUES `+places+` ON CONFLICT DO NOTHING`); err != nil {
		return err
	}
	defer f.put.Close()
	f.recipes.tx = f.tx
	for lines, err := range f.lines(ctx) {
		if err == nil {
			err = f.insert(ctx, lines)
		}
		if err != nil {
			return err
		}
	}
	for digest := range f.segments {
		if err := markSegment(ctx, f.tx, digest); err != nil {
			return err
		}
	}
	// SQLite sorts in memory of the cache's size, besides the cache.
	for _, statement := range []string{`PRAGMA cache_size = -16384`, askedIndex} {
		if _, err := f.tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return f.tx.Commit()
}

// lines yields what the segments hold, at most fillRows lines at a time: one
// goroutine reads segments, fillDecoders take them apart.
func (f *filler) lines(ctx context.Context) iter.Seq2[[]segmentLine, error] {
	return func(yield func([]segmentLine, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		work, ctx := errgroup.WithContext(ctx)
		segments, batches := make(chan compressedSegment), make(chan []segmentLine, 2*fillDecoders)
		work.Go(func() error {
			defer close(segments)
			return f.read(ctx, segments)
		})
		for range fillDecoders {
			work.Go(func() error {
				for s := range segments {
					if err := decodeBatches(ctx, s.bytes, batches); err != nil {
						return fmt.Errorf("read segment %s: %w", s.url, err)
					}
				}
				return nil
			})
		}
		var err error
		go func() {
			err = work.Wait()
			close(batches)
		}()
		defer func() {
			cancel()
			for range batches { // until all have ended
			}
		}()
		for batch := range batches {
			if !yield(batch, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

type compressedSegment struct {
	url   string
	bytes []byte
}

func (f *filler) read(ctx context.Context, segments chan<- compressedSegment) error {
	return eachSegment(ctx, f.store, func(o blob.Object) error {
		digest, ok := segmentDigest(o.Key)
		if !ok {
			return nil // no object of ours
		}
		text, err := readCompressed(ctx, f.store, o, digest)
		if err != nil {
			return fmt.Errorf("read segment %s: %w", f.store.URL(o.Key), err)
		}
		f.segments[digest] = true
		select {
		case segments <- compressedSegment{f.store.URL(o.Key), text}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// decodeBatches sends the lines of a segment, fillRows at a time.
func decodeBatches(ctx context.Context, compressed []byte, batches chan<- []segmentLine) error {
	var batch []segmentLine
	send := func() error {
		select {
		case batches <- batch:
			batch = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for line, err := range segmentLines(compressed) {
		if err != nil {
			return err
		}
		if batch = append(batch, line); len(batch) == fillRows {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// insert adds lines. Where a call is there already they are added one by one,
// by the rule that says which end holds.
func (f *filler) insert(ctx context.Context, lines []segmentLine) error {
	calls := make([]Call, 0, len(lines))
	for _, line := range lines {
		switch {
		case !line.Double.IsZero():
			if err := putDouble(f.tx, double{line.Call, line.Double}, true); err != nil {
				return err
			}
		case f.purged.call(line.Key, line.Call.Asked.Pair):
			if err := putDouble(f.tx, line.Call.double(), true); err != nil {
				return err
			}
		case f.lost[line.Image.Digest]:
			if err := noteLost(ctx, f.tx, line.Key); err != nil {
				return err
			}
		default:
			calls = append(calls, line.Call)
		}
	}
	if len(calls) == fillRows {
		f.values = f.values[:0]
		for _, c := range calls {
			var err error
			if f.values, err = f.recipes.appendRow(f.values, c, true); err != nil {
				return err
			}
		}
		done, err := f.put.ExecContext(ctx, f.values...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == fillRows {
			return err
		}
	}
	_, err := insertCalls(f.tx, calls, insertion{shared: true})
	return err
}

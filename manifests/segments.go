package manifests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// A segment is a batch of recorded calls as an object of the store, so that
// another machine, or this one after its disk is lost, reads what has been
// paid for: zstd-compressed JSON lines, a header and then a call each, under
// the digest of the compressed bytes. Segments are never changed; [Compact]
// replaces several by one.
const (
	segmentPrefix = "ledger/"
	segmentSuffix = ".jsonl.zst"
	segmentFormat = 1
	// segmentCalls is the most calls of a segment, and segmentBytes about the
	// most bytes of their texts.
	segmentCalls = 10_000
	segmentBytes = 64 << 20
	// maxSegment bounds a segment's bytes, compressed and not, against damaged
	// and hostile ones.
	maxSegment = 1 << 30
)

type segmentHeader struct {
	Ledger int `json:"ledger"` // segmentFormat
}

// Pull reads the store's segments that the ledger has not seen yet and returns
// the number of calls that were new.
func (l *Ledger) Pull(ctx context.Context, store blob.Store) (int, error) {
	added := 0
	lost, err := lostImages(ctx, store)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if err := l.forget(ctx, lost); err != nil {
		return 0, err
	}
	err = eachSegment(ctx, store, func(o blob.Object) error {
		digest, ok := segmentDigest(o.Key)
		if !ok {
			return nil // no object of ours
		}
		var seen bool
		if err := l.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM segments WHERE digest = ?)`, digest[:]).Scan(&seen); err != nil {
			return fmt.Errorf("look up segment %s: %w", digest, err)
		}
		if seen {
			return nil
		}
		n, err := l.pullSegment(ctx, store, o, digest, lost)
		if err != nil {
			return fmt.Errorf("read segment %s: %w", store.URL(o.Key), err)
		}
		added += n
		return nil
	})
	if err != nil {
		return added, fmt.Errorf("ledger: %w", err)
	}
	return added, nil
}

func segmentKey(digest irgdata.Digest) string { return segmentPrefix + digest.String() + segmentSuffix }

// segmentDigest is the digest in the key of a segment; ok is false for an
// object that is none.
func segmentDigest(key string) (digest irgdata.Digest, ok bool) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(key, segmentPrefix), segmentSuffix)
	if !ok {
		return digest, false
	}
	digest, err := irgdata.ParseDigest(name)
	return digest, err == nil
}

// readSegment reads the calls of a segment and compares it with its digest.
func readSegment(ctx context.Context, store blob.Store, o blob.Object, digest irgdata.Digest) ([]Call, error) {
	if o.Size > maxSegment {
		return nil, fmt.Errorf("it has %d bytes, want at most %d", o.Size, maxSegment)
	}
	compressed, err := blob.ReadVerified(ctx, store, o.Key, o.Size, digest)
	if err != nil {
		return nil, err
	}
	return decodeSegment(compressed)
}

// pullSegment adds a segment's calls, all or none, but for those whose images
// are lost.
func (l *Ledger) pullSegment(ctx context.Context, store blob.Store, o blob.Object, digest irgdata.Digest, lost map[irgdata.Digest]bool) (int, error) {
	calls, err := readSegment(ctx, store, o, digest)
	if err != nil {
		return 0, err
	}
	calls = slices.DeleteFunc(calls, func(c Call) bool { return lost[c.Image.Digest] })
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // after Commit it does nothing
	added, err := insertCalls(tx, calls, true)
	if err != nil {
		return 0, err
	}
	if err := markSegment(ctx, tx, digest); err != nil {
		return 0, err
	}
	return added, tx.Commit()
}

func encodeSegment(calls []Call) ([]byte, error) {
	var out bytes.Buffer
	// One goroutine, so that equal calls give equal bytes.
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	enc := json.NewEncoder(z)
	if err := enc.Encode(segmentHeader{Ledger: segmentFormat}); err != nil {
		return nil, err
	}
	for _, c := range calls {
		if err := enc.Encode(c); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decodeSegment(compressed []byte) ([]Call, error) {
	z, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	dec := json.NewDecoder(bufio.NewReader(io.LimitReader(z, maxSegment)))
	var header segmentHeader
	if err := dec.Decode(&header); err != nil {
		return nil, fmt.Errorf("its header is damaged: %w", err)
	}
	if header.Ledger != segmentFormat {
		return nil, fmt.Errorf("it has format %d and this irgdata reads format %d: use the irgdata that wrote it", header.Ledger, segmentFormat)
	}
	var calls []Call
	for {
		var c Call
		err := dec.Decode(&c)
		if err == io.EOF {
			return calls, nil
		}
		if err != nil {
			return nil, fmt.Errorf("call %d is damaged: %w", len(calls), err)
		}
		if c.Key.IsZero() {
			return nil, fmt.Errorf("call %d has no key", len(calls))
		}
		calls = append(calls, c)
	}
}

// Push puts the calls that no segment holds yet into the store, oldest first,
// and returns their number.
func (l *Ledger) Push(ctx context.Context, store blob.Store) (int, error) {
	pushed := 0
	for {
		n, err := l.pushSegment(ctx, store)
		pushed += n
		if err != nil {
			return pushed, fmt.Errorf("ledger %s: push a segment: %w", l.path, err)
		}
		if n == 0 {
			return pushed, nil
		}
	}
}

func (l *Ledger) pushSegment(ctx context.Context, store blob.Store) (int, error) {
	calls, last, err := l.unshared(ctx)
	if err != nil || len(calls) == 0 {
		return 0, err
	}
	segment, err := encodeSegment(calls)
	if err != nil {
		return 0, err
	}
	digest := irgdata.DigestOf(segment)
	if err := blob.PutContent(ctx, store, segmentKey(digest), bytes.NewReader(segment), int64(len(segment)), digest); err != nil {
		return 0, err
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, `UPDATE calls SET shared = 1 WHERE shared = 0 AND rowid <= ?`, last); err != nil {
		return 0, err
	}
	if err := markSegment(ctx, tx, digest); err != nil {
		return 0, err
	}
	return len(calls), tx.Commit()
}

// unshared returns the oldest calls that no segment holds, and the row of the
// last of them.
func (l *Ledger) unshared(ctx context.Context) (calls []Call, last int64, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT rowid, key, `+callColumns+` FROM calls WHERE shared = 0 ORDER BY rowid LIMIT ?`, segmentCalls)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for bytes := 0; bytes < segmentBytes && rows.Next(); {
		var c Call
		var key []byte
		if err := scanCall(rows, &c, &last, &key); err != nil {
			return nil, 0, err
		}
		copy(c.Key[:], key)
		calls = append(calls, c)
		bytes += len(c.Text) + len(c.Reason)
	}
	return calls, last, rows.Err()
}

// Sharing pushes a ledger's calls in the background, so that a lost machine
// loses at most the calls of one interval.
type Sharing struct {
	ledger *Ledger
	store  blob.Store
	stop   chan struct{}
	ended  chan struct{}
}

// Share pushes the ledger's new calls to the store at every interval until
// Close, and pulls those of other machines at work on the same store, so that
// what one has finished the others need not ask. What fails is tried again at
// the next interval.
func (l *Ledger) Share(ctx context.Context, store blob.Store, every time.Duration, log *slog.Logger) *Sharing {
	s := &Sharing{ledger: l, store: store, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, err := l.Push(ctx, store)
				if err == nil {
					_, err = l.Pull(ctx, store)
				}
				if err != nil && ctx.Err() == nil {
					log.Warn("the ledger could not be shared and will be tried again", "error", err)
				}
			case <-s.stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

// Close ends the background pushes and pushes what is left.
func (s *Sharing) Close(ctx context.Context) error {
	close(s.stop)
	<-s.ended
	_, err := s.ledger.Push(ctx, s.store)
	return err
}

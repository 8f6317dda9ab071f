package manifests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// A segment is a batch of recorded calls as an object of the store, so that
// another machine, or this one after its disk is lost, reads what has been
// paid for: zstd-compressed JSON lines under the digest of the compressed bytes.
// The first is the header; then come recipes, calls, each after its recipe, and
// doubles. Segments are never changed; [Compact] replaces several by one.
const (
	segmentPrefix = "ledger/"
	segmentSuffix = ".jsonl.zst"
	segmentFormat = 2 // 1 had calls alone
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

// segment is what one holds.
type segment struct {
	calls   []Call
	doubles []double
}

// recipeLine gives the recipe of the calls after it that have its place among
// the recipes, counted from 1.
type recipeLine struct {
	Recipe string `json:"recipe"`
}

// segmentLine is a line after the header, of any kind.
type segmentLine struct {
	Recipe string `json:"recipe,omitempty"`
	Call
	Asked *segmentAsked `json:"asked,omitempty"` // instead of the call's
	// Double is the making of a double, and zero for a call.
	Double irgdata.Digest `json:"double,omitzero"`
}

type segmentAsked struct {
	Pair   irgdata.Digest `json:"pair"`
	Shown  string         `json:"shown,omitempty"`
	Recipe int            `json:"recipe"`
	Inputs string         `json:"inputs,omitempty"`
}

// Pull reads the store's segments that the ledger has not seen yet and returns
// the number of calls that were new. Of two ends of the same call the one that
// holds replaces the other, so that all ledgers that pulled the same segments
// agree. What was purged ([Purge]) is deleted. It is for before a run, when nobody
// else has the ledger; see [Ledger.PullNew].
func (l *Ledger) Pull(ctx context.Context, store blob.Store) (int, error) {
	return l.pull(ctx, store, nil)
}

// PullNew is a Pull while a run is under way that may have used what the ledger
// holds: it adds calls and replaces none. Where another end holds, the next
// Pull puts it in.
func (l *Ledger) PullNew(ctx context.Context, store blob.Store) (int, error) {
	return l.pull(ctx, store, map[irgdata.Digest]bool{})
}

// pull keeps what the ledger holds if there is a list of segments to put off:
// those with an end that holds against one of the ledger's. It passes over
// them, and adds to them.
func (l *Ledger) pull(ctx context.Context, store blob.Store, putOff map[irgdata.Digest]bool) (int, error) {
	added := 0
	lost, err := lostImages(ctx, store)
	if err != nil {
		return 0, fmt.Errorf("ledger: %w", err)
	}
	if err := l.forget(ctx, lost); err != nil {
		return 0, err
	}
	if putOff == nil {
		err = l.purge(ctx, store)
	} else {
		_, err = l.purged.read(ctx, store)
	}
	if err != nil {
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
		if seen || putOff[digest] {
			return nil
		}
		n, err := l.pullSegment(ctx, store, o, digest, lost, putOff != nil)
		if err != nil {
			return fmt.Errorf("read segment %s: %w", store.URL(o.Key), err)
		}
		added += n.added
		if n.kept > 0 {
			putOff[digest] = true
		}
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

// readSegment reads a segment and compares it with its digest.
func readSegment(ctx context.Context, store blob.Store, o blob.Object, digest irgdata.Digest) (segment, error) {
	compressed, err := readCompressed(ctx, store, o, digest)
	if err != nil {
		return segment{}, err
	}
	s, err := decodeSegment(compressed)
	return s, damage(err)
}

func readCompressed(ctx context.Context, store blob.Store, o blob.Object, digest irgdata.Digest) ([]byte, error) {
	if o.Size > maxSegment {
		return nil, fmt.Errorf("it has %d bytes, want at most %d: %w", o.Size, maxSegment, blob.ErrDamaged)
	}
	return blob.ReadVerified(ctx, store, o.Key, o.Size, digest)
}

// pullSegment adds what a segment holds, all or none, but for calls that were purged
// or whose images are lost. If it kept a call of the ledger's in spite of one of the
// segment's, the segment counts as not read.
func (l *Ledger) pullSegment(ctx context.Context, store blob.Store, o blob.Object, digest irgdata.Digest, lost map[irgdata.Digest]bool, keep bool) (n inserted, err error) {
	s, err := readSegment(ctx, store, o, digest)
	if err != nil {
		return n, err
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return n, err
	}
	defer tx.Rollback() // after Commit it does nothing
	l.purged.split(&s)
	calls := s.calls[:0]
	for _, c := range s.calls {
		if !lost[c.Image.Digest] {
			calls = append(calls, c)
		} else if err := noteLost(ctx, tx, c.Key); err != nil {
			return n, err
		}
	}
	if n, err = insertCalls(tx, calls, insertion{shared: true, keep: keep}); err != nil {
		return n, err
	}
	for _, d := range s.doubles {
		if err := putDouble(tx, d, true); err != nil {
			return n, err
		}
	}
	if n.kept == 0 {
		if err := markSegment(ctx, tx, digest); err != nil {
			return n, err
		}
	}
	return n, tx.Commit()
}

func encodeSegment(s segment) ([]byte, error) {
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
	places := map[string]int{}
	for _, c := range s.calls {
		line := segmentLine{Call: c}
		if a := c.Asked; !a.IsZero() {
			if places[a.Recipe] == 0 {
				places[a.Recipe] = len(places) + 1
				if err := enc.Encode(recipeLine{a.Recipe}); err != nil {
					return nil, err
				}
			}
			line.Asked = &segmentAsked{a.Pair, a.Shown, places[a.Recipe], a.Inputs}
		}
		if err := enc.Encode(line); err != nil {
			return nil, err
		}
	}
	for _, d := range s.doubles {
		if err := enc.Encode(segmentLine{Call: d.call, Double: d.making}); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decodeSegment(compressed []byte) (s segment, err error) {
	for line, err := range segmentLines(compressed) {
		switch {
		case err != nil:
			return segment{}, err
		case line.Double.IsZero():
			s.calls = append(s.calls, line.Call)
		default:
			s.doubles = append(s.doubles, double{line.Call, line.Double})
		}
	}
	return s, nil
}

// segmentLines yields the calls and doubles of a segment, each call with what
// was asked.
func segmentLines(compressed []byte) iter.Seq2[segmentLine, error] {
	return func(yield func(segmentLine, error) bool) {
		fail := func(err error) { yield(segmentLine{}, err) }
		z, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxSegment))
		if err != nil {
			fail(err)
			return
		}
		defer z.Close()
		dec := json.NewDecoder(bufio.NewReader(io.LimitReader(z, maxSegment)))
		var header segmentHeader
		if err := dec.Decode(&header); err != nil {
			fail(fmt.Errorf("its header is damaged: %w", err))
			return
		}
		if header.Ledger < 1 || header.Ledger > segmentFormat {
			fail(&otherFormatError{header.Ledger, segmentFormat})
			return
		}
		var recipes []string
		for n := 1; ; n++ {
			var line segmentLine
			err := dec.Decode(&line)
			switch a := line.Asked; {
			case err == io.EOF:
				return
			case err != nil:
				fail(fmt.Errorf("line %d is damaged: %w", n, err))
				return
			case line.Recipe != "":
				recipes = append(recipes, line.Recipe)
				continue
			case line.Key.IsZero():
				fail(fmt.Errorf("line %d has no key", n))
				return
			case a != nil && (a.Recipe < 1 || a.Recipe > len(recipes) || a.Pair.IsZero()):
				fail(fmt.Errorf("line %d has no recipe or no pair", n))
				return
			case a != nil:
				line.Call.Asked = Asked{a.Pair, a.Shown, recipes[a.Recipe-1], a.Inputs}
			}
			if !yield(line, nil) {
				return
			}
		}
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

// pushSegment returns the number of calls pushed; doubles count too, and calls that
// were purged while the run was asleep, which it drops.
func (l *Ledger) pushSegment(ctx context.Context, store blob.Store) (int, error) {
	s, last, err := l.unshared(ctx)
	if err != nil || len(s.calls)+len(s.doubles) == 0 {
		return 0, err
	}
	if _, err := l.purged.read(ctx, store); err != nil {
		return 0, err
	}
	gone := l.purged.split(&s)
	if err := l.purged.put(ctx, store, painted(gone)); err != nil {
		return 0, err
	}
	encoded, err := encodeSegment(s)
	if err != nil {
		return 0, err
	}
	digest := irgdata.DigestOf(encoded)
	if err := blob.PutContent(ctx, store, segmentKey(digest), bytes.NewReader(encoded), int64(len(encoded)), digest); err != nil {
		return 0, err
	}
	switch more, err := l.purged.read(ctx, store); {
	case err != nil:
		return 0, err
	case more: // it may hold what was purged meanwhile
		if err := store.Delete(ctx, segmentKey(digest)); err != nil {
			return 0, err
		}
		return l.pushSegment(ctx, store)
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, `UPDATE calls SET shared = 1 WHERE shared = 0 AND rowid <= ?`, last); err != nil {
		return 0, err
	}
	for _, d := range s.doubles {
		if err := putDouble(tx, d, true); err != nil {
			return 0, err
		}
	}
	for _, c := range gone {
		if _, err := tx.ExecContext(ctx, `DELETE FROM calls WHERE key = ?`, c.Key[:]); err != nil {
			return 0, err
		}
	}
	if len(gone) > 0 { // the next Pull takes them out of the file
		for _, name := range l.purged.names() {
			if _, err := tx.ExecContext(ctx, `DELETE FROM segments WHERE digest = ?`, name[:]); err != nil {
				return 0, err
			}
		}
	}
	if err := markSegment(ctx, tx, digest); err != nil {
		return 0, err
	}
	return len(s.calls) + len(s.doubles) + len(gone), tx.Commit()
}

// unshared returns the oldest calls that no segment holds, the row of the last
// of them, and doubles.
func (l *Ledger) unshared(ctx context.Context) (s segment, last int64, err error) {
	if s.doubles, err = l.unsharedDoubles(ctx); err != nil {
		return s, 0, err
	}
	rows, err := l.db.QueryContext(ctx, `SELECT rowid, `+askedColumns+`, `+callColumns+` FROM calls WHERE shared = 0 ORDER BY rowid LIMIT ?`, segmentCalls)
	if err != nil {
		return s, 0, err
	}
	defer rows.Close()
	known := recipes{}
	for bytes := 0; bytes < segmentBytes && rows.Next(); {
		c, err := l.scanWhole(ctx, rows, known, &last)
		if err != nil {
			return s, 0, err
		}
		s.calls = append(s.calls, c)
		bytes += len(c.Text) + len(c.Reason)
	}
	return s, last, rows.Err()
}

// Sharing pushes a ledger's calls in the background, so that a lost machine
// loses at most the calls of one interval.
type Sharing struct {
	ledger *Ledger
	store  blob.Store
	pushes sync.Mutex // one push at a time, or two segments would have the same calls
	stop   chan struct{}
	ended  chan struct{}
}

// Share pushes the ledger's new calls to the store at every interval until
// Close, and pulls those of other machines at work on the same store, so that
// what one has finished the others need not ask. It replaces no call, as a run
// is under way ([Ledger.PullNew]). What fails is tried again at the next
// interval.
func (l *Ledger) Share(ctx context.Context, store blob.Store, every time.Duration, log *slog.Logger) *Sharing {
	s := &Sharing{ledger: l, store: store, stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		putOff := map[irgdata.Digest]bool{}
		for {
			select {
			case <-tick.C:
				err := s.Push(ctx)
				if err == nil {
					_, err = l.pull(ctx, store, putOff)
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

// Push pushes what there is now. It is called before anything is published that
// rests on these calls.
func (s *Sharing) Push(ctx context.Context) error {
	s.pushes.Lock()
	defer s.pushes.Unlock()
	_, err := s.ledger.Push(ctx, s.store)
	return err
}

// Close ends the background pushes and pushes what is left.
func (s *Sharing) Close(ctx context.Context) error {
	close(s.stop)
	<-s.ended
	return s.Push(ctx)
}

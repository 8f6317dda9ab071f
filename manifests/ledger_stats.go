package manifests

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata/internal/blob"
)

// SegmentStats describes the store's segments.
type SegmentStats struct {
	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"`
	// OldestFormat is the least format of a segment, and 0 without segments.
	OldestFormat int `json:"oldest_format"`
}

// Segments describes the store's segments. It reads the header of each.
func Segments(ctx context.Context, store blob.Store) (SegmentStats, error) {
	var s SegmentStats
	err := eachSegment(ctx, store, func(o blob.Object) error {
		if _, ok := segmentDigest(o.Key); !ok {
			return nil // no object of ours
		}
		format, err := readSegmentFormat(ctx, store, o.Key)
		if err != nil {
			return fmt.Errorf("read segment %s: %w", store.URL(o.Key), err)
		}
		s.Segments++
		s.Bytes += o.Size
		if s.OldestFormat == 0 || format < s.OldestFormat {
			s.OldestFormat = format
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("ledger: %w", err)
	}
	return s, nil
}

// readSegmentFormat reads no more of a segment than its header needs.
func readSegmentFormat(ctx context.Context, store blob.Store, key string) (int, error) {
	object, err := store.Open(ctx, key, 0, -1)
	if err != nil {
		return 0, err
	}
	defer object.Close()
	z, err := zstd.NewReader(object, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment))
	if err != nil {
		return 0, err
	}
	defer z.Close()
	var header segmentHeader
	if err := json.NewDecoder(bufio.NewReader(io.LimitReader(z, maxSegment))).Decode(&header); err != nil {
		return 0, fmt.Errorf("its header is damaged: %w", err)
	}
	if header.Ledger < 1 {
		return 0, errors.New("its header is damaged: it names no format")
	}
	return header.Ledger, nil
}

// Unshared counts the calls that no segment holds yet.
func (l *Ledger) Unshared(ctx context.Context) (n int, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT count(*) FROM calls WHERE shared = 0`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("ledger: count the calls that are not shared: %w", err)
	}
	return n, nil
}

// scanWhole reads the columns given, askedColumns and callColumns of a row.
func (l *Ledger) scanWhole(ctx context.Context, rows *sql.Rows, known recipes, before ...any) (c Call, err error) {
	var asked askedRow
	if err := scanCall(rows, &c, append(before, asked.columns()...)...); err != nil {
		return c, err
	}
	recipe, err := l.recipe(ctx, known, asked.recipe)
	c.Asked = asked.asked(recipe)
	return c, err
}

// Calls yields all calls by ascending key, those that were recorded before the
// first is yielded.
func (l *Ledger) Calls(ctx context.Context) iter.Seq2[Call, error] {
	return func(yield func(Call, error) bool) {
		rows, err := l.db.QueryContext(ctx, `SELECT `+askedColumns+`, `+callColumns+` FROM calls ORDER BY key`)
		if err != nil {
			yield(Call{}, fmt.Errorf("ledger: list the calls: %w", err))
			return
		}
		defer rows.Close()
		known := recipes{}
		for rows.Next() {
			c, err := l.scanWhole(ctx, rows, known)
			if err != nil {
				yield(Call{}, fmt.Errorf("ledger: list the calls: %w", err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Call{}, fmt.Errorf("ledger: list the calls: %w", err))
		}
	}
}

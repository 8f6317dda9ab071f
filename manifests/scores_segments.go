package manifests

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// A segment of scores is a batch of them as an object of the store, so that
// another machine does not measure again: zstd-compressed JSON lines, under the
// digest of the compressed bytes. The first line is the header; then come
// layouts, and rows whose numbers have the names of the last layout before them.
const (
	scorePrefix = "scores/"
	scoreSuffix = ".jsonl.zst"
	// segmentScores is the most rows of a segment, about 4 MB of numbers.
	segmentScores = 10_000
)

type scoreHeader struct {
	Scores int `json:"scores"` // scoresFormat
}

// scoreLine is a layout, which has names, or a row, which has a key.
type scoreLine struct {
	Names   []string       `json:"names,omitempty"` // "size/1 draft.min_side"
	Key     irgdata.Digest `json:"key,omitzero"`
	Numbers []byte         `json:"numbers,omitempty"`
}

// Pull reads the store's segments of scores that were not seen yet and returns
// the number of rows that were new. One that is damaged, or of another format,
// counts for none.
func (s *Scores) Pull(ctx context.Context, store blob.Store) (int, error) {
	added := 0
	for o, err := range store.List(ctx, scorePrefix) {
		if err != nil {
			return added, fmt.Errorf("scores: list segments: %w", err)
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, scorePrefix), scoreSuffix)
		digest, err := irgdata.ParseDigest(name)
		if !ok || err != nil || o.Size > maxSegment {
			continue // no object of ours
		}
		var seen bool
		if err := s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM score_segments WHERE digest = ?)`, digest[:]).Scan(&seen); err != nil {
			return added, fmt.Errorf("scores: look up segment %s: %w", name, err)
		}
		if seen {
			continue
		}
		compressed, err := blob.ReadVerified(ctx, store, o.Key, o.Size, digest)
		if ctx.Err() != nil {
			return added, ctx.Err()
		}
		if err != nil {
			continue
		}
		rows, err := decodeScores(compressed)
		if err != nil {
			continue
		}
		err = s.write(ctx, func(tx *sql.Tx) error {
			n, err := s.insert(ctx, tx, rows, true)
			if err != nil {
				return err
			}
			added += n
			return markScores(ctx, tx, digest)
		})
		if err != nil {
			return added, fmt.Errorf("scores: read segment %s: %w", store.URL(o.Key), err)
		}
	}
	return added, nil
}

func markScores(ctx context.Context, tx *sql.Tx, digest irgdata.Digest) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO score_segments (digest) VALUES (?) ON CONFLICT DO NOTHING`, digest[:])
	return err
}

// Push puts the scores that no segment holds yet into the store and returns the
// number of rows.
func (s *Scores) Push(ctx context.Context, store blob.Store) (int, error) {
	if err := s.Flush(ctx); err != nil {
		return 0, err
	}
	pushed := 0
	for {
		n, err := s.pushSegment(ctx, store)
		pushed += n
		if err != nil {
			return pushed, fmt.Errorf("scores: push a segment: %w", err)
		}
		if n == 0 {
			return pushed, nil
		}
	}
}

func (s *Scores) pushSegment(ctx context.Context, store blob.Store) (int, error) {
	segment, keys, err := s.unshared(ctx)
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	digest := irgdata.DigestOf(segment)
	err = blob.PutBytes(ctx, store, scorePrefix+digest.String()+scoreSuffix, segment, blob.PutOptions{CreateOnly: true, Digest: digest})
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return 0, err
	}
	return len(keys), s.write(ctx, func(tx *sql.Tx) error {
		mark, err := tx.PrepareContext(ctx, `UPDATE scores SET shared = 1 WHERE key = ?`)
		if err != nil {
			return err
		}
		defer mark.Close()
		for _, key := range keys {
			if _, err := mark.ExecContext(ctx, key); err != nil {
				return err
			}
		}
		return markScores(ctx, tx, digest)
	})
}

// unshared returns a segment of rows that no segment holds, and their keys.
func (s *Scores) unshared(ctx context.Context) (segment []byte, keys [][]byte, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT scores.key, names, numbers FROM scores JOIN score_layouts ON id = layout
		WHERE shared = 0 ORDER BY layout, scores.rowid LIMIT ?`, segmentScores)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var out bytes.Buffer
	// One goroutine, so that equal scores give equal bytes.
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, nil, err
	}
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(scoreHeader{Scores: scoresFormat}); err != nil {
		return nil, nil, err
	}
	last := ""
	for rows.Next() {
		var key, numbers []byte
		var names string
		if err := rows.Scan(&key, &names, &numbers); err != nil {
			return nil, nil, err
		}
		if names != last {
			if err := enc.Encode(scoreLine{Names: strings.Split(names, "\n")}); err != nil {
				return nil, nil, err
			}
			last = names
		}
		line := scoreLine{Numbers: numbers}
		copy(line.Key[:], key)
		if err := enc.Encode(line); err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
	}
	if err := errors.Join(rows.Err(), z.Close()); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), keys, nil
}

func decodeScores(compressed []byte) ([]scoreRow, error) {
	z, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSegment))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	dec := json.NewDecoder(bufio.NewReader(io.LimitReader(z, maxSegment)))
	var header scoreHeader
	if err := dec.Decode(&header); err != nil {
		return nil, fmt.Errorf("its header is damaged: %w", err)
	}
	if header.Scores != scoresFormat {
		return nil, fmt.Errorf("it has format %d and this irgdata reads format %d", header.Scores, scoresFormat)
	}
	var rows []scoreRow
	var names []scoreName
	for {
		var line scoreLine
		err := dec.Decode(&line)
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d is damaged: %w", len(rows), err)
		}
		if line.Names != nil {
			names = splitNames(line.Names)
			continue
		}
		scores, err := decodeNumbers(names, line.Numbers)
		if err == nil && line.Key.IsZero() {
			err = errors.New("it has no key")
		}
		if err != nil {
			return nil, fmt.Errorf("row %d is damaged: %w", len(rows), err)
		}
		rows = append(rows, scoreRow{line.Key, scores})
	}
}

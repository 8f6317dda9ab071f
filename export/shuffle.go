package export

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// shuffled yields what is selected in an order that is uniformly random over
// all shards and a function of the seed and the pairs alone: by a number drawn
// for each. The trajectories lie in a nameless file of the work folder
// meanwhile, as large as they are together; in memory are 40 bytes of each.
func (p *plan) shuffled(ctx context.Context) iter.Seq2[selected, error] {
	return func(yield func(selected, error) bool) {
		spool, err := p.spool(ctx)
		if err != nil {
			yield(selected{}, err)
			return
		}
		defer spool.file.Close() // nameless: nothing is kept
		for _, t := range spool.turns {
			s, err := spool.read(p, t)
			if err == nil {
				err = ctx.Err()
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// spool is a file of trajectories.
type spool struct {
	file  *os.File
	turns []spooled // shuffled
}

// spooled is one turn of a trajectory.
type spooled struct {
	number       uint64
	offset, size int64
	row, turn    int32
}

// spooledRow has the cells of a row by their kind, in column order.
type spooledRow struct {
	Texts  []string
	Flags  []bool
	Images []spooledImage
}

// spooledImage is an image, or null.
type spooledImage struct {
	Present bool
	Image   parquet.Image
}

// spool writes the selected trajectories into a file and shuffles their turns.
// The caller closes the file.
func (p *plan) spool(ctx context.Context) (s *spool, err error) {
	file, err := blob.TempFile(p.work)
	if err != nil {
		return nil, fmt.Errorf("shuffle: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	s = &spool{file: file}
	offset := int64(0)
	for r, err := range p.records(ctx, func(int, int) bool { return true }) {
		if err != nil {
			return nil, err
		}
		if _, any, err := p.at(r.record, r.number, 0); err != nil {
			return nil, err
		} else if !any {
			continue
		}
		var encoded bytes.Buffer
		if err := gob.NewEncoder(&encoded).Encode(toSpool(r.row)); err != nil {
			return nil, fmt.Errorf("shuffle: %w", err)
		}
		if _, err := file.Write(encoded.Bytes()); err != nil {
			return nil, fmt.Errorf("shuffle: %w", err)
		}
		size := int64(encoded.Len())
		for turn := range p.most {
			if p.rows != nil {
				if _, any := p.selects(r.number, turn); !any {
					break
				}
			}
			s.turns = append(s.turns, spooled{p.draw("shuffle/1", r.trajectory.Pair.ID, "", turn), offset, size, int32(r.number), int32(turn)})
		}
		offset += size
	}
	slices.SortFunc(s.turns, func(a, b spooled) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.row, b.row), cmp.Compare(a.turn, b.turn))
	})
	return s, nil
}

func (s *spool) read(p *plan, t spooled) (selected, error) {
	encoded := make([]byte, t.size)
	if _, err := s.file.ReadAt(encoded, t.offset); err != nil {
		return selected{}, fmt.Errorf("shuffle: %w", err)
	}
	var row spooledRow
	if err := gob.NewDecoder(bytes.NewReader(encoded)).Decode(&row); err != nil {
		return selected{}, fmt.Errorf("shuffle: %w", err)
	}
	r, err := readRecord(row.cells())
	if err != nil {
		return selected{}, err
	}
	taken, _, err := p.at(r, int(t.row), int(t.turn))
	return taken, err
}

func toSpool(row parquet.Row) (s spooledRow) {
	for _, cell := range row {
		switch cell := cell.(type) {
		case string:
			s.Texts = append(s.Texts, cell)
		case bool:
			s.Flags = append(s.Flags, cell)
		case parquet.Image:
			s.Images = append(s.Images, spooledImage{true, cell})
		default:
			s.Images = append(s.Images, spooledImage{})
		}
	}
	return s
}

func (s spooledRow) cells() parquet.Row {
	var row parquet.Row
	texts, flags, images := s.Texts, s.Flags, s.Images
	for _, c := range trajectoryColumns() {
		switch {
		case c.Kind == parquet.String:
			row, texts = append(row, texts[0]), texts[1:]
		case c.Kind == parquet.Bool:
			row, flags = append(row, flags[0]), flags[1:]
		case images[0].Present:
			row, images = append(row, images[0].Image), images[1:]
		default:
			row, images = append(row, nil), images[1:]
		}
	}
	return row
}

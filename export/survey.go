package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// rejectsName is the object that names the refused rows, a line for each; an
// export without refusals has none.
const rejectsName = "rejects.jsonl"

// survey is what is known of an export before its rows are laid out.
type survey struct {
	// Counts has an entry for each mode: the rows that will be written, and
	// what their content takes before it is encoded.
	Counts []manifests.ModeCount `json:"counts"`

	modes   []modes.Mode
	refused map[irgdata.Digest]uint8 // a bit for each mode, in their order
}

// newSurvey reads each row that is selected, with its images' headers, and puts
// those that the screen refuses into rejects.jsonl.
func newSurvey(ctx context.Context, rows iter.Seq2[selected, error], wanted []modes.Mode, s screen, dest blob.Store, workers int) (survey, error) {
	v := survey{modes: wanted, refused: map[irgdata.Digest]uint8{}}
	for _, m := range wanted {
		v.Counts = append(v.Counts, manifests.ModeCount{Mode: m.Name})
	}
	rejects := rejectsFile{dest: dest}
	defer rejects.discard()
	type verdict struct {
		pair    irgdata.Pair
		under   []bool
		refusal []Refusal // by mode
		size    []int64   // by mode
	}
	judged := flow.Map(ctx, rows, flow.Options{Workers: workers}, func(_ context.Context, r selected) (verdict, error) {
		d := verdict{r.trajectory.Pair, r.under, make([]Refusal, len(wanted)), make([]int64, len(wanted))}
		looks := s.looks(r.record)
		for i, m := range wanted {
			if r.under[i] {
				d.refusal[i].Rule, d.refusal[i].Reason = s.refuse(r.record, m, looks)
				d.size[i] = contentSize(r.trajectory, m)
			}
		}
		return d, nil
	})
	for d, err := range judged {
		if err != nil {
			return v, err
		}
		for i, m := range wanted {
			count, refusal, bit := &v.Counts[i], d.refusal[i], uint8(1)<<i
			switch {
			case !d.under[i]:
			case refusal.Rule == "":
				count.Rows++
				count.Bytes += d.size[i]
				count.MaxBytes = max(count.MaxBytes, d.size[i])
			default:
				count.Rejected++
				if v.refused[d.pair.ID]&bit != 0 {
					continue // the row is selected again
				}
				v.refused[d.pair.ID] |= bit
				refusal.ID, refusal.Mode, refusal.Source, refusal.Key = d.pair.ID, m.Name, d.pair.Source, d.pair.Key
				if err := rejects.write(ctx, refusal); err != nil {
					return v, err
				}
			}
		}
	}
	return v, rejects.close()
}

// contentSize is what a row's texts and images take, templates left out.
func contentSize(t irgdata.Trajectory, m modes.Mode) (size int64) {
	for _, s := range m.Needs() {
		size += int64(len(t.Slots[s].Text)) + t.Slots[s].Image.Size
	}
	return size
}

// remaining yields the rows that are still to be written: not refused, and not
// among the first ones of each mode, of which the files are there already.
func (v survey) remaining(rows iter.Seq2[selected, error], there []int64) iter.Seq2[selected, error] {
	return func(yield func(selected, error) bool) {
		seen := make([]int64, len(v.modes))
		for r, err := range rows {
			if err != nil {
				yield(r, err)
				return
			}
			refused, left := v.refused[r.trajectory.Pair.ID], false
			under := make([]bool, len(r.under))
			for i := range under {
				if !r.under[i] || refused&(1<<i) != 0 {
					continue
				}
				seen[i]++
				under[i] = seen[i] > there[i]
				left = left || under[i]
			}
			r.under = under
			if left && !yield(r, nil) {
				return
			}
		}
	}
}

// readRefused reads the refused rows back, to go on with an export that was
// broken off.
func (v *survey) readRefused(ctx context.Context, dest blob.Store) error {
	v.refused = map[irgdata.Digest]uint8{}
	r, err := dest.Open(ctx, rejectsName, 0, -1)
	if errors.Is(err, blob.ErrNotExist) {
		return nil // none was refused
	}
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
		var refusal Refusal
		if err == nil {
			err = json.Unmarshal(line, &refusal)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", dest.URL(rejectsName), err)
		}
		for i, m := range v.modes {
			if m.Name == refusal.Mode {
				v.refused[refusal.ID] |= 1 << i
			}
		}
	}
}

// rejectsFile is rejects.jsonl under way, which begins with the first refusal.
type rejectsFile struct {
	dest blob.Store
	open *object
}

func (f *rejectsFile) write(ctx context.Context, r Refusal) error {
	if f.open == nil {
		f.open = newObject(ctx, f.dest, rejectsName)
	}
	line, err := json.Marshal(r)
	if err == nil {
		_, err = f.open.Write(append(line, '\n'))
	}
	return err
}

func (f *rejectsFile) close() error {
	if f.open == nil {
		return nil
	}
	open := f.open
	f.open = nil
	_, err := open.close()
	return err
}

func (f *rejectsFile) discard() {
	if f.open != nil {
		f.open.discard()
	}
}

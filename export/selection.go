package export

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// Split is a part of a dataset.
type Split string

// The splits. All of the pairs are in one of the two.
const (
	All        Split = ""
	Train      Split = "train"
	Validation Split = "validation"
)

// Selection says which examples of a snapshot an export holds, how often, and
// in which order. An example is a trajectory seen under one mode. The zero
// Selection takes each once, in the order of the sources.
type Selection struct {
	// Stage 2 takes the modes of the second training stage alone; 0 and 1 take
	// all.
	Stage int `json:"stage,omitempty"`
	// Where is a condition on trajectories (docs/export.md).
	Where string `json:"where,omitempty"`
	// Split takes one of the splits alone, and Validation is the part of the
	// pairs that is held back for the second one.
	Split      Split   `json:"split,omitempty"`
	Validation float64 `json:"validation,omitempty"`
	// Mix says how often examples are taken; the first share that fits an
	// example decides, and one that none fits is taken once.
	Mix []Share `json:"mix,omitempty"`
	// Shuffle puts the examples in an order that the seed decides. Seed also
	// decides which examples a share takes.
	Shuffle bool   `json:"shuffle,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
}

// SelectionError is a mistake in a Selection.
type SelectionError struct {
	// Key is where it is, such as "where" or "mix[0]".
	Key string
	Err error
}

func (e *SelectionError) Error() string { return e.Key + ": " + e.Err.Error() }

func (e *SelectionError) Unwrap() error { return e.Err }

// Validate reports the first mistake, as a [SelectionError]. Which scores and
// sources there are the snapshot decides.
func (s Selection) Validate() error {
	wrong := func(key, format string, args ...any) error {
		return &SelectionError{key, fmt.Errorf(format, args...)}
	}
	switch {
	case s.Stage < 0 || s.Stage > 2:
		return wrong("stage", "is %d: want 1 or 2", s.Stage)
	case s.Split != All && s.Split != Train && s.Split != Validation:
		return wrong("split", "is %q: want %q or %q", s.Split, Train, Validation)
	case !(s.Validation >= 0 && s.Validation < 1):
		return wrong("validation", "is %v: want a part of the pairs, from 0 to less than 1", s.Validation)
	case s.Split == Validation && s.Validation == 0:
		return wrong("split", "is %q and no part of the pairs is held back: set validation, such as 0.01", s.Split)
	}
	for i, share := range s.Mix {
		if err := share.Validate(); err != nil {
			return wrong(fmt.Sprintf("mix[%d]", i), "%w", err)
		}
	}
	if s.Where != "" {
		if _, err := newCondition(s.Where, nil); err != nil {
			return err
		}
	}
	return nil
}

// narrows reports whether the selection takes other than each example once, in
// the order of the sources.
func (s Selection) narrows() bool {
	return s.Stage > 1 || s.Where != "" || s.Split != All || len(s.Mix) > 0 || s.Shuffle
}

// plan is a selection applied to a snapshot: which rows of its shards are
// taken, under which modes and how often. It takes about 40 bytes of memory a
// trajectory, 100 more while the splits are found; none where every example is
// taken once.
type plan struct {
	store     blob.Store
	snapshot  manifests.Snapshot
	selection Selection
	work      string
	modes     []modes.Mode
	// counts are of the selected examples, by mode; the bytes are estimates by
	// the manifest's.
	counts []manifests.ModeCount
	shares []ShareCount
	most   int // how often the most frequent example is taken

	rows []choice // of the shards, in order; nil: each row once in all its modes
	// copies says how often a row is taken under a mode:
	// copies[row*len(modes)+mode].
	copies []uint16
}

// choice is what is known of a row.
type choice struct {
	id     irgdata.Digest
	source int32 // of the sources seen
	held   bool  // for validation
}

// newPlan applies a selection. If the format does not keep splits apart, all
// pairs are for training unless one split is selected.
func newPlan(ctx context.Context, store blob.Store, s manifests.Snapshot, selection Selection, splits bool, work string) (*plan, error) {
	if err := selection.Validate(); err != nil {
		return nil, err
	}
	// What decides nothing is not noted.
	if selection.Split == All && !splits {
		selection.Validation = 0
	}
	if selection.Stage == 1 {
		selection.Stage = 0
	}
	if !selection.Shuffle && len(selection.Mix) == 0 {
		selection.Seed = 0
	}
	wanted, err := modes.Select(s.Settings.Modes)
	if err != nil {
		return nil, err
	}
	if selection.Stage == 2 {
		wanted = slices.DeleteFunc(wanted, func(m modes.Mode) bool { return !m.Stage2 })
		if len(wanted) == 0 {
			return nil, &SelectionError{"stage", errors.New("the second one trains on none of the snapshot's modes")}
		}
	}
	if !slices.ContainsFunc(wanted, func(m modes.Mode) bool { return !selection.excludes(m.Name) }) {
		return nil, &SelectionError{"mix", errors.New("it takes no mode")}
	}
	p := &plan{store: store, snapshot: s, selection: selection, work: work, modes: wanted, most: 1}
	for _, m := range wanted {
		i := slices.IndexFunc(s.Counts.Modes, func(c manifests.ModeCount) bool { return c.Mode == m.Name })
		if i < 0 {
			return nil, fmt.Errorf("the manifest does not count mode %s", m.Name)
		}
		p.counts = append(p.counts, s.Counts.Modes[i])
	}
	if selection.Where == "" && selection.Validation == 0 && len(selection.Mix) == 0 {
		return p, nil
	}
	if err := p.survey(ctx); err != nil {
		return nil, err
	}
	if p.most == 0 {
		return nil, fmt.Errorf("the selection takes none of the %d trajectories of snapshot %d: look at `where`, `split` and `mix`", s.Counts.Trajectories, s.Number)
	}
	return p, nil
}

// survey reads what the selection asks of the rows, and decides on each.
func (p *plan) survey(ctx context.Context) error {
	var where *condition
	if p.selection.Where != "" {
		var err error
		if where, err = newCondition(p.selection.Where, func() ([]string, error) { return p.scores(ctx) }); err != nil {
			return err
		}
	}
	columns := []string{"id", "source"}
	for _, m := range p.modes {
		columns = append(columns, m.Name)
	}
	if p.selection.Validation > 0 {
		columns = append(columns, "prompt", "reference.path")
	}
	if where != nil {
		columns = append(columns, where.columns...)
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)

	var groups *groups
	if p.selection.Validation > 0 {
		groups = newGroups()
	}
	var sources []string
	for cells, err := range p.columns(ctx, columns) {
		if err != nil {
			return err
		}
		text := func(name string) string { s, _ := cells[name].(string); return s }
		id, err := irgdata.ParseDigest(text("id"))
		if err != nil {
			return fmt.Errorf("column id: %w", err)
		}
		taken := true
		if where != nil {
			if taken, err = where.holds(cells); err != nil {
				return fmt.Errorf("pair %s: %w", id, err)
			}
		}
		if groups != nil {
			groups.add(id, text("prompt"), text("reference.path"))
		}
		source := slices.Index(sources, text("source"))
		if source < 0 {
			source, sources = len(sources), append(sources, text("source"))
		}
		p.rows = append(p.rows, choice{id: id, source: int32(source)})
		for _, m := range p.modes {
			copies := uint16(0)
			if keeps, _ := cells[m.Name].(bool); keeps && taken {
				copies = 1
			}
			p.copies = append(p.copies, copies)
		}
	}
	if groups != nil {
		p.split(groups)
	}
	if err := p.mix(sources); err != nil {
		return err
	}
	p.leaveOut()
	p.recount()
	return nil
}

// leaveOut takes out the modes of which the mix takes nothing.
func (p *plan) leaveOut() {
	var wanted []modes.Mode
	var counts []manifests.ModeCount
	out := make([]bool, len(p.modes))
	for i, m := range p.modes {
		if out[i] = p.selection.excludes(m.Name); !out[i] {
			wanted, counts = append(wanted, m), append(counts, p.counts[i])
		}
	}
	copies := p.copies[:0]
	for i, n := range p.copies {
		if !out[i%len(out)] {
			copies = append(copies, n)
		}
	}
	p.modes, p.counts, p.copies = wanted, counts, copies
}

// split marks the pairs that are held back, and takes out those of the other
// split where one is selected.
func (p *plan) split(g *groups) {
	for row := range p.rows {
		p.rows[row].held = g.held(row, p.selection.Validation)
		out := p.selection.Split == Train && p.rows[row].held || p.selection.Split == Validation && !p.rows[row].held
		if out {
			clear(p.copies[row*len(p.modes) : (row+1)*len(p.modes)])
		}
	}
}

// recount counts the selected examples.
func (p *plan) recount() {
	p.most = 0
	rows := make([]int64, len(p.modes))
	for i, n := range p.copies {
		rows[i%len(p.modes)] += int64(n)
		p.most = max(p.most, int(n))
	}
	for i := range p.counts {
		c := &p.counts[i]
		if c.Rows > 0 {
			c.Bytes = int64(math.Ceil(float64(c.Bytes) / float64(c.Rows) * float64(rows[i])))
		}
		c.Rows = rows[i]
	}
}

// columns yields the named columns of all rows, in order. Of the shards no more
// is read than these.
func (p *plan) columns(ctx context.Context, columns []string) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) {
		for _, shard := range p.snapshot.Shards {
			reader, err := parquet.NewReader(blob.NewRanges(ctx, p.store, shard.Key, shard.Size))
			if err != nil {
				yield(nil, fmt.Errorf("read shard %s: %w", p.store.URL(shard.Key), err))
				return
			}
			for row, err := range reader.Rows(ctx, columns...) {
				if err != nil {
					yield(nil, fmt.Errorf("read shard %s: %w", p.store.URL(shard.Key), err))
					return
				}
				cells := make(map[string]any, len(columns))
				for i, name := range columns {
					cells[name] = row[i]
				}
				if !yield(cells, nil) {
					return
				}
			}
		}
	}
}

// scores are the variables of the scores that the snapshot has, sorted.
func (p *plan) scores(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	names := []string{}
	for cells, err := range p.columns(ctx, []string{scoresColumn}) {
		if err != nil {
			return nil, err
		}
		scores, err := readScores(cells)
		if err != nil {
			return nil, err
		}
		for _, s := range scores {
			if !seen[s.Name] {
				seen[s.Name] = true
				names = append(names, scoreVariable(s.Name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// selected is a trajectory with the modes that it is taken under, which may
// come several times.
type selected struct {
	record
	turn  int    // how often it came before
	under []bool // by the plan's modes
	split Split
}

// selects says under which modes a row is taken in its turn.
func (p *plan) selects(row, turn int) (under []bool, any bool) {
	under = make([]bool, len(p.modes))
	for i := range under {
		under[i] = int(p.copies[row*len(p.modes)+i]) > turn
		any = any || under[i]
	}
	return under, any
}

// trajectories yields what is selected.
func (p *plan) trajectories(ctx context.Context) iter.Seq2[selected, error] {
	if p.selection.Shuffle {
		return p.shuffled(ctx)
	}
	return p.inOrder(ctx)
}

// inOrder yields what is selected in the order of the sources. What is taken
// again comes after all that is taken once.
func (p *plan) inOrder(ctx context.Context) iter.Seq2[selected, error] {
	return func(yield func(selected, error) bool) {
		for turn := range p.most {
			for r, err := range p.records(ctx, func(first, rows int) bool { return p.wants(first, rows, turn) }) {
				var s selected
				any := true
				if err == nil {
					s, any, err = p.at(r.record, r.number, turn)
				}
				if err == nil && !any {
					continue
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
		}
	}
}

// wants reports whether a row is taken in the turn.
func (p *plan) wants(first, rows, turn int) bool {
	if p.rows == nil {
		return true
	}
	for row := first; row < min(first+rows, len(p.rows)); row++ {
		if _, any := p.selects(row, turn); any {
			return true
		}
	}
	return false
}

// at is the row's record in its turn.
func (p *plan) at(r record, row, turn int) (s selected, any bool, err error) {
	s = selected{record: r, turn: turn, split: Train}
	if p.rows == nil {
		s.under = make([]bool, len(p.modes))
		for i, m := range p.modes {
			s.under[i] = r.keeps[m.Name]
			any = any || s.under[i]
		}
		return s, any, nil
	}
	if row >= len(p.rows) || p.rows[row].id != r.trajectory.Pair.ID {
		return s, false, fmt.Errorf("pair %s: the shard's rows are not those that were read before", r.trajectory.Pair.ID)
	}
	if p.rows[row].held {
		s.split = Validation
	}
	s.under, any = p.selects(row, turn)
	return s, any, nil
}

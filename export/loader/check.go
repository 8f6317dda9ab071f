package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/modes"
)

// Options say how the loader will be run.
type Options struct {
	// Ranks is the number of training processes, Workers of data loader
	// workers of each (--num_workers), and Seed the --data_seed.
	Ranks, Workers int
	Seed           uint64
	// Limit is --max_num_tokens_per_sample; 0 means no limit.
	Limit int
	// Tokenizer is the checkpoint's. Without one the tokens of texts are not
	// counted, and a row that they make too long is taken for read.
	Tokenizer *tokenizer.Tokenizer
	// Training is the dataset configuration. If it is nil, train_stage1.yaml of
	// the export is taken; without one, the paper's, with all files used.
	Training Training
	// Decode decodes each image to its end.
	Decode bool
	// Jobs is the number of row groups that are parsed at one time.
	Jobs int
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	switch {
	case o.Ranks < 1 || o.Ranks > 1<<16:
		return fmt.Errorf("ranks is %d: want 1 to %d", o.Ranks, 1<<16)
	case o.Workers < 1 || o.Workers > 1<<10:
		return fmt.Errorf("workers is %d: want 1 to %d", o.Workers, 1<<10)
	case o.Limit < 0:
		return fmt.Errorf("the limit is %d tokens: want at least 1, or 0 for none", o.Limit)
	}
	return nil
}

const (
	trainingName    = "train_stage1.yaml"
	parquetInfoName = "parquet_info.json"
	maxParquetInfo  = 256 << 20
)

// Check reads an export, of whichever making, and says what the official loader
// would read of it: Parquet files in a folder for each mode, or in the folder
// itself. What the export says of itself counts only where the loader looks at
// it too: train_stage1.yaml and parquet_info.json.
//
// In memory is a part of a row group for each job, and a few bytes for each row
// group.
func Check(ctx context.Context, files Files, o Options) (Report, error) {
	r := Report{Ranks: o.Ranks, Workers: o.Workers, Seed: o.Seed, Limit: o.Limit, TextTokens: o.Tokenizer != nil}
	if err := o.Validate(); err != nil {
		return r, err
	}
	entries, err := files.List(ctx)
	if err != nil {
		return r, fmt.Errorf("list the export: %w", err)
	}
	c := &checker{files: files, o: o, training: o.Training}
	if err := c.configuration(ctx, entries); err != nil {
		return r, err
	}
	found := folders(entries)
	for mode := range c.training {
		if _, ok := found[mode]; !ok && found[""] == nil {
			found[mode] = &modeFolder{}
		}
	}
	if len(found) == 0 {
		return r, noParquet(files, entries)
	}
	var from []supply
	for _, mode := range slices.SortedFunc(maps.Keys(found), byTable) {
		m, err := c.mode(ctx, mode, *found[mode])
		if err != nil {
			return r, fmt.Errorf("check %s: %w", files.URL(mode), err)
		}
		r.Modes = append(r.Modes, m)
		if c.drawn(m.Mode) {
			from = append(from, supply{m.Mode, c.training.of(m.Mode).Mandatory, m.Read.Rows, m.brings})
		}
	}
	if _, one := found[""]; !one { // a mode's folder alone is a part of an export
		r.Lacks = lacks(from)
	}
	return r, nil
}

// modeFolder are the files of a mode's folder.
type modeFolder struct {
	listed []Entry // those that the loader lists
	missed []Entry // Parquet files that it does not
}

// folders sorts files to modes: the folders of the export, or "" for the
// export's own.
func folders(entries []Entry) map[string]*modeFolder {
	found := map[string]*modeFolder{}
	at := func(mode string) *modeFolder {
		if found[mode] == nil {
			found[mode] = &modeFolder{}
		}
		return found[mode]
	}
	for _, e := range entries {
		mode, rest, below := strings.Cut(e.Name, "/")
		if !below {
			mode, rest = "", e.Name
		}
		switch deeper := strings.Contains(rest, "/"); {
		case strings.HasSuffix(rest, ".parquet") && !deeper:
			at(mode).listed = append(at(mode).listed, e)
		case strings.HasSuffix(rest, ".parquet"), strings.Contains(path.Base(rest), ".parquet"), strings.HasSuffix(rest, ".pq"):
			at(mode).missed = append(at(mode).missed, e)
		}
	}
	for mode, f := range found {
		// A folder of other things is no mode, unless it has a mode's name.
		if len(f.listed) == 0 && !slices.Contains(modes.Names(), mode) {
			delete(found, mode)
		}
	}
	return found
}

// byTable orders modes as the table of package modes does, others by name.
func byTable(a, b string) int {
	place := func(mode string) int {
		if i := slices.Index(modes.Names(), mode); i >= 0 {
			return i
		}
		return len(modes.Names())
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
}

func noParquet(files Files, entries []Entry) error {
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".parquet") {
			return fmt.Errorf("%s has no Parquet file in itself or in a folder of it, but %s has: name the folder above the modes' folders", files.URL(""), files.URL(path.Dir(e.Name)))
		}
	}
	return fmt.Errorf("%s has no Parquet file in itself or in a folder of it: want an export", files.URL(""))
}

type checker struct {
	files    Files
	o        Options
	training Training
	info     map[string]int // row groups by folder and name
}

// configuration reads what the loader reads beside the Parquet files.
func (c *checker) configuration(ctx context.Context, entries []Entry) error {
	for _, e := range entries {
		switch {
		case e.Name == trainingName && c.training == nil:
			text, err := readSmall(ctx, c.files, e, maxTraining)
			if err == nil {
				c.training, err = ParseTraining(c.files.URL(e.Name), text)
			}
			if err != nil {
				return err
			}
		case e.Name == parquetInfoName:
			text, err := readSmall(ctx, c.files, e, maxParquetInfo)
			if err == nil {
				c.info, err = parseParquetInfo(text)
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", c.files.URL(e.Name), err)
			}
		}
	}
	return nil
}

// drawn reports whether packs have rows of the mode.
func (c *checker) drawn(mode string) bool {
	t, listed := c.training[mode]
	return c.training == nil || listed && (t.Mandatory || t.Weight > 0)
}

// mode reads the files of a mode and deals their row groups.
func (c *checker) mode(ctx context.Context, mode string, f modeFolder) (ModeReport, error) {
	m := ModeReport{Mode: mode, Files: len(f.listed)}
	if mode == "" {
		m.Mode = path.Base(strings.TrimSuffix(c.files.URL(""), "/"))
	}
	t := c.training.of(m.Mode)
	p := &Parser{VAE: t.VAE, ViT: t.ViT, Tokenizer: c.o.Tokenizer, Limit: c.o.Limit, Mandatory: t.Mandatory, Decode: c.o.Decode}
	uses := used(f.listed, t.Used)
	groups := map[string][]group{}
	for _, e := range slices.Concat(f.listed, f.missed) {
		read, err := c.file(ctx, e, p)
		var damaged *damagedError
		switch {
		case errors.As(err, &damaged):
			m.counted.add(Tally{Rule: RuleFile, Files: 1, Where: c.files.URL(e.Name), Detail: damaged.Error()})
			if _, told := c.infoOf(mode, e); !told {
				delete(uses, e.Name) // the loader skips it with a warning
			}
			continue
		case err != nil:
			return m, err
		}
		m.RowGroups += len(read)
		groups[e.Name] = read
	}
	if len(f.listed) == 0 {
		m.Stops = "the folder has no Parquet file: the loader divides by zero"
	}
	c.deal(&m, mode, f, uses, groups)
	m.Findings = m.counted.list()
	return m, nil
}

// used is how often each file is used. num_used_data counts files: fewer files
// are used again, of more the last in the folder's order are left out
// (SFT/data/parquet_utils.py).
func used(listed []Entry, number []int) map[string]int {
	n := len(listed)
	if len(number) > 0 {
		n = number[0]
	}
	uses := map[string]int{}
	for i := range n {
		if len(listed) == 0 {
			break
		}
		uses[listed[i%len(listed)].Name]++
	}
	return uses
}

func (c *checker) infoOf(mode string, e Entry) (groups int, told bool) {
	folder := mode
	if mode == "" {
		folder = path.Base(strings.TrimSuffix(c.files.URL(""), "/"))
	}
	groups, told = c.info[path.Join(folder, path.Base(e.Name))]
	return groups, told
}

// deal deals the row groups of a mode to the readers and counts what they
// make of them.
func (c *checker) deal(m *ModeReport, mode string, f modeFolder, uses map[string]int, groups map[string][]group) {
	type dealt struct {
		file  string
		index int
	}
	var list []dealt // sorted as the loader sorts it: by name, then by number
	for _, name := range slices.Sorted(maps.Keys(uses)) {
		n := len(groups[name])
		if told, ok := c.infoOf(mode, Entry{Name: name}); ok {
			n = told
		}
		for i := range n {
			for range uses[name] {
				list = append(list, dealt{name, i})
			}
		}
	}
	if len(list) == 0 && m.Stops == "" {
		m.Stops = "the files have no row group: the loader takes the first of none"
	}
	reads := map[dealt]bool{}
	m.Starved = c.o.Ranks * c.o.Workers
	for _, part := range deal(len(list), c.o.Ranks, c.o.Workers, c.o.Seed) {
		feeds := false
		for _, i := range part {
			reads[list[i]] = true
			if all := groups[list[i].file]; list[i].index < len(all) {
				feeds = feeds || all[list[i].index].read.Rows > 0
			}
		}
		if feeds {
			m.Starved--
		}
	}
	for _, e := range slices.Concat(f.listed, f.missed) {
		told, limited := c.infoOf(mode, e)
		for i, g := range groups[e.Name] {
			m.Rows.add(g.rows)
			if reads[dealt{e.Name, i}] {
				m.Read.add(g.read)
				m.Dropped.add(g.dropped)
				m.PartsLost += g.partsLost
				for need, n := range g.brings {
					m.brings[need] += n
				}
				m.Longest = max(m.Longest, g.longest)
				for _, t := range g.tallies {
					m.counted.add(t)
				}
				continue
			}
			rule, detail := RuleRemainder, fmt.Sprintf("%d row groups are no multiple of %d ranks × %d workers", len(list), c.o.Ranks, c.o.Workers)
			switch {
			case slices.ContainsFunc(f.missed, func(o Entry) bool { return o.Name == e.Name }):
				rule, detail = RuleNotListed, "the loader lists files that end in .parquet and lie in the mode's folder itself"
			case uses[e.Name] == 0:
				rule, detail = RuleCut, "num_used_data is less than the number of files"
			case limited && i >= told:
				rule, detail = RuleParquetInfo, fmt.Sprintf("parquet_info gives the file %d row groups", told)
			}
			m.Unread.add(g.rows)
			m.UnreadGroups = append(m.UnreadGroups, RowGroup{e.Name, i})
			m.counted.add(Tally{Rule: rule, Rows: g.rows.Rows, Where: c.where(e, i, -1), Detail: detail})
		}
	}
}

func (c *checker) where(e Entry, group, row int) string {
	at := fmt.Sprintf("%s, row group %d", c.files.URL(e.Name), group)
	if row >= 0 {
		at += fmt.Sprintf(", row %d", row)
	}
	return at
}

// group is what a reader makes of a row group.
type group struct {
	rows, read, dropped Count
	partsLost           int64
	longest             int
	brings              brought
	tallies             tallies
}

// damagedError says that a file is no Parquet file that can be read.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// file reads the row groups of a file.
func (c *checker) file(ctx context.Context, e Entry, p *Parser) ([]group, error) {
	file, err := c.files.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	open := func() (*parquet.Reader, error) {
		r, err := parquet.NewReader(io.NewSectionReader(file, 0, e.Size))
		if err != nil {
			err = &damagedError{err}
		}
		return r, err
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	sizes := r.RowGroups()
	numbers := func(yield func(int, error) bool) {
		for i := range sizes {
			if !yield(i, nil) {
				return
			}
		}
	}
	var groups []group
	for g, err := range flow.Map(ctx, numbers, flow.Options{Workers: c.o.Jobs}, func(ctx context.Context, i int) (group, error) {
		r, err := open() // a reader is one goroutine's
		if err != nil {
			return group{}, err
		}
		return c.group(ctx, r, e, i, sizes[i], p)
	}) {
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// group parses the rows of a row group. An error is one of reading, or the
// context's; damage is a finding.
func (c *checker) group(ctx context.Context, r *parquet.Reader, e Entry, index int, size int64, p *Parser) (group, error) {
	g := group{rows: Count{Rows: max(size, 0)}}
	lost := func(rule, detail string) (group, error) {
		if err := ctx.Err(); err != nil {
			return g, err
		}
		all := Count{Rows: g.rows.Rows}
		return group{rows: all, dropped: all, tallies: tallies{rule: {Rule: rule, Rows: all.Rows, Where: c.where(e, index, -1), Detail: detail}}}, nil
	}
	column, found := frame(r)
	if found != nil {
		return lost(found.Rule, found.Detail)
	}
	// The whole row group is made a DataFrame, which raises for any column.
	if err := r.Check(ctx, index, column); err != nil {
		return lost(RuleGroup, err.Error())
	}
	n := 0
	for row, err := range r.Group(ctx, index, column) {
		if err != nil {
			return lost(RuleGroup, err.Error())
		}
		if text, ok := row[0].(string); ok && !utf8.ValidString(text) {
			return lost(RuleGroup, "a text of column "+column+" is not UTF-8")
		}
		g.add(p.parse(row[0]), c.where(e, index, n))
		n++
	}
	return g, nil
}

// parse makes a row of a cell: json.loads takes texts, and bytes in UTF-8.
func (p *Parser) parse(cell any) Row {
	switch cell := cell.(type) {
	case string:
		return p.Parse(cell)
	case parquet.Image:
		if text := string(cell.Bytes); utf8.ValidString(text) {
			return p.Parse(strings.TrimPrefix(text, "\ufeff"))
		}
		return Row{Lost: &Finding{Rule: RuleForm, Detail: "the conversation is bytes that are not UTF-8"}}
	}
	return Row{Lost: &Finding{Rule: RuleNotJSON, Detail: "the conversation is null"}}
}

// add counts a row.
func (g *group) add(r Row, where string) {
	inside := Count{Images: int64(r.Images), Tokens: int64(r.Tokens)}
	g.rows.add(inside)
	inside.Rows = 1
	if r.Lost != nil {
		g.dropped.add(inside)
		g.tallies.add(Tally{Rule: r.Lost.Rule, Rows: 1, Where: where, Detail: r.Lost.Detail})
		return
	}
	g.read.add(inside)
	g.longest = max(g.longest, r.Tokens)
	g.brings.add(r.holds)
	for _, f := range r.Parts {
		if !f.Read {
			g.partsLost++
		}
		t := Tally{Rule: f.Rule, Read: f.Read, Where: where, Detail: f.Detail}
		switch {
		case f.Text:
			t.Texts = 1
		case f.Image:
			t.Images = 1
		default:
			t.Parts = 1
		}
		g.tallies.add(t)
	}
}

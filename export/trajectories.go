package export

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
)

// trajectories is the format [Parquet]: the columns of a snapshot's shards, the
// split, and each score in a column of its own, under the name that conditions
// know it by. A trajectory comes once, however often it is taken.
type trajectories struct {
	dest      blob.Store
	columns   []parquet.Column
	scores    []string
	fileBytes int64
	lanes     lanes[parquetFile]
}

// trajectoriesFolder is where the files lie.
const trajectoriesFolder = "trajectories"

func newTrajectories(ctx context.Context, p *plan, dest blob.Store, o Options, there *whole) (*trajectories, error) {
	scores, err := p.scores(ctx)
	if err != nil {
		return nil, err
	}
	t := &trajectories{dest: dest, columns: trajectoryColumns(), fileBytes: cmp.Or(o.FileBytes, parquetFileBytes), lanes: lanes[parquetFile]{whole: there}}
	t.columns = append(t.columns, parquet.Column{Name: "split", Kind: parquet.String})
	for _, name := range scores {
		if slices.ContainsFunc(t.columns, func(c parquet.Column) bool { return c.Name == name }) {
			continue // the column is older
		}
		t.scores = append(t.scores, name)
		t.columns = append(t.columns, parquet.Column{Name: name, Kind: parquet.Float64})
	}
	return t, nil
}

func (t *trajectories) encode(_ context.Context, x example) (sample, error) {
	if !x.first {
		return nil, nil
	}
	cells := map[string]any{}
	for i, name := range recordColumns() {
		cells[name] = x.row[i]
	}
	scores, err := readScores(cells)
	if err != nil {
		return nil, err
	}
	row := append(slices.Clone(x.row), string(x.split))
	measured := map[string]float64{}
	for _, s := range scores {
		measured[scoreVariable(s.Name)] = s.Value
	}
	for _, name := range t.scores {
		value, ok := measured[name]
		if !ok {
			value = math.NaN()
		}
		row = append(row, value)
	}
	return row, nil
}

func (t *trajectories) write(ctx context.Context, x example, s sample) error {
	row, ok := s.(parquet.Row)
	if !ok {
		return nil
	}
	return writeRow(ctx, t.lanes.of(trajectoriesFolder, x.split), t.dest, t.columns, row, t.fileBytes)
}

func (t *trajectories) finish(ctx context.Context) ([]ModeFiles, error) {
	return t.lanes.end(ctx, endParquet)
}

func (t *trajectories) discard() { t.lanes.discard(discardParquet) }

package export

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/irgdata/irgdata/modes"
)

// lane is where the examples of one mode and split go: into one file after
// another. F is what a format keeps of the file under way.
type lane[F any] struct {
	ModeFiles
	open *F

	there  []File // whole since before, of which the rows did not all come yet
	passed int64  // rows of the first of them that came
	whole  *whole
}

// passes counts a row that is in a file which an export that was broken off left
// whole, and reports whether it is: then it need not be written.
func (l *lane[F]) passes() bool {
	if len(l.there) == 0 {
		return false
	}
	if l.passed++; l.passed == l.there[0].Rows {
		l.list(l.there[0])
		l.there, l.passed = l.there[1:], 0
	}
	return true
}

// done lists the file that was under way and is visible now, and notes it.
func (l *lane[F]) done(ctx context.Context, f File) error {
	l.list(f)
	return l.whole.add(ctx, l.Mode, l.Split, f)
}

func (l *lane[F]) list(f File) { l.Files, l.Rows = append(l.Files, f), l.Rows+f.Rows }

// name is that of the next file of the lane, below the export's root:
// "mode/train-00000.ext".
func (l *lane[F]) name(extension string) string {
	return fmt.Sprintf("%s/%s-%05d.%s", l.Mode, l.Split, len(l.Files), extension)
}

// lanes are those of an export, by mode and split.
type lanes[F any] struct {
	all   []*lane[F]
	whole *whole
}

// of returns the lane of a mode and split.
func (l *lanes[F]) of(mode string, split Split) *lane[F] {
	for _, lane := range l.all {
		if lane.Mode == mode && lane.Split == split {
			return lane
		}
	}
	made := &lane[F]{ModeFiles: ModeFiles{Mode: mode, Split: split, Files: []File{}}, there: l.whole.of(mode, split), whole: l.whole}
	l.all = append(l.all, made)
	// In the order of the modes' table, training first.
	slices.SortStableFunc(l.all, func(a, b *lane[F]) int {
		return cmp.Or(cmp.Compare(slices.Index(modes.Names(), a.Mode), slices.Index(modes.Names(), b.Mode)), cmp.Compare(a.Split, b.Split))
	})
	return made
}

// end closes the files under way, and lists all.
func (l *lanes[F]) end(ctx context.Context, end func(context.Context, *lane[F]) error) ([]ModeFiles, error) {
	files := []ModeFiles{}
	for _, lane := range l.all {
		if len(lane.there) > 0 {
			return nil, fmt.Errorf("%s has more rows than the snapshot gives: remove the export and export again", lane.there[0].Path)
		}
		if lane.open != nil {
			if err := end(ctx, lane); err != nil {
				return nil, err
			}
		}
		files = append(files, lane.ModeFiles)
	}
	return files, nil
}

// discard breaks off the files under way.
func (l *lanes[F]) discard(discard func(*F)) {
	for _, lane := range l.all {
		if lane.open != nil {
			discard(lane.open)
			lane.open = nil
		}
	}
}

package export

import (
	"fmt"
	"slices"

	"github.com/irgdata/irgdata/manifests"
)

// The official loader deals row groups to ranks and then to the workers of
// each rank, and never reads the remainder (SFT/data/interleave_datasets/
// interleave_t2i_dataset.py). It loads a row group whole. So the row groups of
// a mode are a multiple of ranks times workers, as equal in rows as can be,
// and small.
const (
	groupRows  = 32        // the most rows of a row group
	groupBytes = 16 << 20  // about the mean size of a row group
	groupMost  = 256 << 20 // the most bytes of a row group, whichever rows meet in it
	fileBytes  = 512 << 20 // about the size of a file, unless it is set
)

// TooFewRowsError says that a mode cannot be laid out.
type TooFewRowsError struct {
	Ranks, Workers int
	// Modes are those with too few rows; Rejected counts the rows that the
	// export refuses, because the trainer would pass them over.
	Modes []manifests.ModeCount
}

func (e *TooFewRowsError) Error() string {
	least := slices.MinFunc(e.Modes, func(a, b manifests.ModeCount) int { return int(a.Rows - b.Rows) })
	readers := e.Ranks * e.Workers
	others := ""
	if n := len(e.Modes) - 1; n > 0 {
		others = fmt.Sprintf(" (%d other modes have too few as well)", n)
	}
	if least.Rejected > 0 {
		others += fmt.Sprintf(" and %d more that the trainer would pass over, of which `irgdata export check` tells the rules", least.Rejected)
	}
	what := fmt.Sprintf("build from more pairs, export for fewer readers (`irgdata export --ranks %d --workers 1`)", min(int64(e.Ranks), least.Rows))
	switch { // no number of readers reads nothing
	case least.Rows > 0:
	case least.Rejected > 0:
		what = "set `max_tokens` or `image.format` otherwise, if it is their rules"
	default:
		what = "take more in (`where`, `split`, `mix`), build from more pairs"
	}
	return fmt.Sprintf("%d ranks × %d workers are %d readers and need as many rows of each mode, or the trainer reads nothing of it, and %s has %d%s: "+
		"%s, or leave the mode out (`mix`, with weight 0)", e.Ranks, e.Workers, readers, least.Mode, least.Rows, others, what)
}

// layout says how many rows each row group of each file of a mode has.
type layout [][]int

// newLayout lays out rows whose content is about size bytes in all, and largest
// bytes of the largest one; rows is at least readers, the number of ranks times
// workers.
func newLayout(rows, size, largest int64, readers int, fileBytes int64) layout {
	size, largest = size*4/3, largest*4/3 // base64
	perGroup := min(groupRows, max(1, int64(groupBytes)*rows/max(size, 1)), max(1, groupMost/max(largest, 1)))
	groups := int64(readers) * max(1, ceil(rows, int64(readers)*perGroup))
	for groups > rows { // rounding up went past one row a group
		groups -= int64(readers)
	}
	files := min(groups, max(1, ceil(size, fileBytes)))
	l := make(layout, files)
	for g := range groups {
		n := rows / groups
		if g < rows%groups {
			n++
		}
		file := g * files / groups
		l[file] = append(l[file], int(n))
	}
	return l
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

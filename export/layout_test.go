package export

import (
	"testing"
)

// TestLayout: whatever the rows and readers, each reader gets the same number
// of row groups, no row group is empty or more than one row longer than
// another, and every row is in one.
func TestLayout(t *testing.T) {
	for _, readers := range []int{1, 2, 7, 64} {
		for _, rows := range []int64{1, 2, 63, 64, 65, 100, 127, 128, 2047, 2048, 2049, 100_000} {
			for _, rowBytes := range []int64{10, 1 << 20, 40 << 20} {
				if rows < int64(readers) {
					continue // refused before
				}
				l := newLayout(rows, rows*rowBytes, rowBytes, readers, fileBytes)
				groups, sum, least, most := 0, int64(0), 1<<30, 0
				for _, file := range l {
					if len(file) == 0 {
						t.Fatalf("%d rows of %d bytes for %d readers: a file without row groups", rows, rowBytes, readers)
					}
					for _, n := range file {
						groups, sum, least, most = groups+1, sum+int64(n), min(least, n), max(most, n)
					}
				}
				if groups%readers != 0 || sum != rows || least < 1 || most > least+1 {
					t.Errorf("%d rows of %d bytes for %d readers: %d row groups of %d to %d rows, %d rows in all", rows, rowBytes, readers, groups, least, most, sum)
				}
				if rows >= int64(readers)*groupRows && most > groupRows {
					t.Errorf("%d rows for %d readers: a row group of %d rows", rows, readers, most)
				}
			}
		}
	}
}

// TestLayoutSplitsFiles: large modes are cut into files of about fileBytes.
func TestLayoutSplitsFiles(t *testing.T) {
	if got := len(newLayout(10_000, 10<<30, 1<<20, 64, fileBytes)); got < 20 || got > 40 {
		t.Errorf("10 GiB in %d files, want about 26", got)
	}
}

// TestLayoutMindsTheLargestRow: rows of 30 MB among rows of 100 kB may meet in
// one row group, which the loader reads whole.
func TestLayoutMindsTheLargestRow(t *testing.T) {
	const rows, largest = 20_000, 30e6
	for _, file := range newLayout(rows, rows*100e3, largest, 64, fileBytes) {
		for _, n := range file {
			if int64(n)*largest*4/3 > groupMost {
				t.Fatalf("a row group of %d rows", n)
			}
		}
	}
}

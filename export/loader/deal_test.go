package loader

import (
	"slices"
	"testing"
)

// TestShuffleIsPythons: the values are those of
//
//	r = random.Random(seed); x = list(range(20)); r.shuffle(x)
func TestShuffleIsPythons(t *testing.T) {
	for seed, want := range map[uint64][]int{
		0:         {10, 18, 16, 14, 0, 17, 11, 2, 3, 9, 5, 7, 4, 19, 6, 15, 8, 1, 13, 12},
		42:        {19, 5, 14, 4, 9, 13, 15, 18, 6, 12, 17, 10, 1, 11, 2, 16, 7, 8, 0, 3},
		1<<40 + 7: {17, 0, 10, 3, 1, 2, 9, 12, 7, 13, 5, 11, 14, 6, 16, 4, 8, 15, 18, 19},
	} {
		got := make([]int, len(want))
		for i := range got {
			got[i] = i
		}
		shuffle(got, seed)
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: got %v, want %v", seed, got, want)
		}
	}
	long := make([]int, 1000) // beyond one state of the generator
	for i := range long {
		long[i] = i
	}
	shuffle(long, 42)
	if !slices.Equal(long[:5], []int{776, 507, 895, 922, 33}) || !slices.Equal(long[995:], []int{281, 759, 25, 114, 654}) {
		t.Errorf("1000 numbers: got %v … %v", long[:5], long[995:])
	}
}

// TestDealLeavesRemainders: both divisions leave something over, and nothing is
// dealt twice.
func TestDealLeavesRemainders(t *testing.T) {
	for _, c := range []struct{ n, ranks, workers, readers, each int }{
		{64, 8, 8, 64, 1}, {63, 8, 8, 0, 0}, {100, 8, 8, 64, 1}, {128, 8, 8, 64, 2}, {7, 1, 1, 1, 7}, {100, 3, 7, 21, 4}, {0, 1, 1, 0, 0},
	} {
		readers := deal(c.n, c.ranks, c.workers, 42)
		seen := map[int]bool{}
		for _, part := range readers {
			if len(part) != c.each {
				t.Errorf("%+v: a reader gets %d row groups", c, len(part))
			}
			for _, i := range part {
				if seen[i] {
					t.Errorf("%+v: row group %d is dealt twice", c, i)
				}
				seen[i] = true
			}
		}
		if len(readers) != c.readers {
			t.Errorf("%+v: %d readers get row groups", c, len(readers))
		}
	}
}

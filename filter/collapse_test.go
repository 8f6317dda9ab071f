package filter_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/irgdata/irgdata/filter"
)

func TestCollapse(t *testing.T) {
	const n = 20000
	texts := func(yield func(string) bool) {
		for i := range n {
			opening := fmt.Sprintf("Picture %d of its own kind", i)
			if i%4 == 0 {
				opening = "The previous image lacks some"
			} else if i%10 == 1 {
				opening = "Looking at the image, again"
			}
			if !yield(fmt.Sprintf("<think>%s of the things, number %d, that it needs, and ends on word %d.</think>", opening, i, i)) {
				return
			}
		}
	}
	got := filter.Collapse(texts, 0.05)
	if got.Texts != n || len(got.Endings) != 0 || got.Ended() != 0 || len(got.Openings) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []filter.Frequent{{Words: "the previous image lacks some", Share: 0.25}, {Words: "looking at the image again", Share: 0.05 * 2}} {
		if f := got.Openings[i]; f.Words != want.Words || f.Share > want.Share || f.Share < want.Share-0.05/16 {
			t.Errorf("got %+v, want %+v at most 0.05/16 too small", f, want)
		}
	}
	if s := got.Opened(); math.Abs(s-0.35) > 2*0.05/16 {
		t.Errorf("opened like others: %v", s)
	}

	same := filter.Collapse(slices.Values([]string{"A fox.", "a fox", "", "<think>A fox!</think>"}), 0.5)
	if same.Texts != 4 || same.Opened() != 0.75 || same.Ended() != 0.75 || same.Openings[0].Words != "a fox" {
		t.Errorf("got %+v", same)
	}
	if none := filter.Collapse(slices.Values([]string(nil)), 0.5); none.Texts != 0 || none.Opened() != 0 {
		t.Errorf("got %+v", none)
	}
}

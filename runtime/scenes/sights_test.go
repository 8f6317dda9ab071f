package scenes

import (
	"sync"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime"
)

// TestSights: a model that remembers answers as one that does not, and forgets
// the oldest images.
func TestSights(t *testing.T) {
	tr := run(t, 17, 0)
	r := request(runtime.Text, 0, "Which image follows the prompt better?\n<prompt>\n"+tr.caption+"\n</prompt>", tr.draft, tr.reference)
	want, err := Model{}.Generate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	m := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2 {
				if got, err := m.Generate(t.Context(), r); err != nil || got.Text != want.Text {
					t.Errorf("got %q, %v, want %q", got.Text, err, want.Text)
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.sights.seen); n != 2 {
		t.Errorf("%d images are remembered, want 2", n)
	}
	for i := range 2 * remembered {
		m.sights.remember(irgdata.Digest{byte(i), byte(i >> 8)}, sight{})
	}
	if n, last := len(m.sights.seen), len(m.sights.last); n != remembered || last != n {
		t.Errorf("%d and %d images are remembered, want %d", n, last, remembered)
	}
}

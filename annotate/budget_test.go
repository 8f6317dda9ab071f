package annotate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime"
)

func recordedCalls(t testing.TB, l *manifests.Ledger) (n int) {
	t.Helper()
	costs, err := l.Costs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range costs {
		n += c.Calls
	}
	return n
}

// TestBudget: runs that their budget stops, one after another, make the calls
// of one run without a budget, each once.
func TestBudget(t *testing.T) {
	const pairs, calls = 5, 5 * 4
	want, _, err := newBench(t, pairs).run(t, options(&digestModel{revision: "1"}))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, pairs)
	m := &digestModel{revision: "1"}
	o := options(m)
	o.Budget = manifests.Budget{MaxCalls: 6}
	for made := 0; ; {
		got, count, err := b.run(t, o)
		made += count.Made
		if recorded := recordedCalls(t, b.ledger); recorded != made || m.calls() != made {
			t.Fatalf("%d calls were made, %d sent and %d recorded", made, m.calls(), recorded)
		}
		if made == calls {
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("the last run: %v, %s", err, diff)
			}
			break
		}
		if !errors.Is(err, manifests.ErrBudget) || !strings.Contains(err.Error(), "max_calls is 6") || count.Made != 6 {
			t.Fatalf("got %v after %d calls, want ErrBudget after 6", err, count.Made)
		}
	}
}

// TestBudgetOfCost: the calls under way as the bound is reached may pass it,
// no other.
func TestBudgetOfCost(t *testing.T) {
	b := newBench(t, 12)
	m := &digestModel{revision: "1"}
	o := options(m)
	o.Prices = manifests.Prices{m.Identity().String(): {PerCall: 0.5}}
	o.Budget = manifests.Budget{MaxCost: 5}
	a, err := annotate.New(o, b.images, b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range a.Run(t.Context(), b.sequence()) {
	}
	u := a.Used()
	if !errors.Is(err, manifests.ErrBudget) || u.Calls < 10 || u.Calls >= 10+o.Workers || u.Cost != 0.5*float64(u.Calls) {
		t.Errorf("got %v and %+v, want ErrBudget and 10 calls to %d", err, u, 9+o.Workers)
	}
	if recorded := recordedCalls(t, b.ledger); recorded != u.Calls {
		t.Errorf("%d calls were counted and %d recorded", u.Calls, recorded)
	}
}

// slow answers what is asked of the first pair at once, and the others after a
// second.
type slow struct{ *digestModel }

func (m slow) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	if strings.Contains(r.Context[0].Text, "prompt 0") {
		return m.digestModel.Generate(ctx, r)
	}
	select {
	case <-time.After(time.Second):
		return m.digestModel.Generate(ctx, r)
	case <-ctx.Done():
		return runtime.Answer{}, ctx.Err()
	}
}

// TestBudgetWaitsForCallsUnderWay: the first pair meets the end of the budget
// while the others' calls are under way; these end and are recorded.
func TestBudgetWaitsForCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 4)
		m := slow{&digestModel{revision: "1"}}
		o := options(m)
		o.Budget = manifests.Budget{MaxCalls: 4}
		_, count, err := b.run(t, o)
		if !errors.Is(err, manifests.ErrBudget) || count.Made != 4 || m.calls() != 4 {
			t.Errorf("got %v, %+v and %d calls, want ErrBudget and 4", err, count, m.calls())
		}
		if recorded := recordedCalls(t, b.ledger); recorded != 4 {
			t.Errorf("%d calls were recorded, want 4", recorded)
		}
	})
}

func TestBudgetValidates(t *testing.T) {
	for want, edit := range map[string]func(*annotate.Options){
		"budget: max_calls is -1": func(o *annotate.Options) { o.Budget.MaxCalls = -1 },
		"per_call is -2":          func(o *annotate.Options) { o.Prices = manifests.Prices{"m@1": {PerCall: -2}} },
	} {
		o := options(&digestModel{})
		edit(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

package manifests_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

func TestAccount(t *testing.T) {
	costs := []manifests.StepCost{
		{Step: "draft/1", Model: "bagel@1", Calls: 10, Failed: 1, Attempts: 12, Seconds: 360},
		{Step: "hindsight/1", Model: "qwen@1", Calls: 4, Seconds: 8, TokensIn: 2_000_000, TokensOut: 500_000},
		{Step: "hindsight/1", Model: "free@1", Calls: 1, Seconds: 1, TokensIn: 7},
		{Step: "old/1", Model: "bagel@1", Calls: 1, Seconds: 36},
	}
	prices := manifests.Prices{
		"bagel@1": {PerGPUHour: 2.5, GPUs: 2},
		"qwen@1":  {PerCall: 0.25, PerMillionIn: 1, PerMillionOut: 4},
	}
	servers := []manifests.ServerCost{{Server: "gpu 0", StepCost: manifests.StepCost{Model: "bagel@1", Calls: 6, Seconds: 180}}}
	doubles := []manifests.StepCost{{Step: "draft/1", Model: "bagel@1", Calls: 1, Seconds: 36}, {Step: "hindsight/1", Model: "qwen@1", Calls: 2}}
	got := manifests.NewAccount(costs, servers, doubles, nil, prices, []manifests.ModeSteps{
		{Mode: "thinking", Steps: []string{"hindsight/1"}},
		{Mode: "full", Steps: []string{"hindsight/1", "draft/1"}},
	})
	draft := manifests.Usage{Calls: 10, Failed: 1, Seconds: 360, GPUSeconds: 720, Cost: 0.5}
	qwen := manifests.Usage{Calls: 4, Seconds: 8, TokensIn: 2_000_000, TokensOut: 500_000, Cost: 5}
	free := manifests.Usage{Calls: 1, Seconds: 1, TokensIn: 7}
	old := manifests.Usage{Calls: 1, Seconds: 36, GPUSeconds: 72, Cost: 0.05}
	sum := func(parts ...manifests.Usage) (u manifests.Usage) {
		for _, p := range parts {
			u.Add(p)
		}
		return u
	}
	want := manifests.Account{
		Steps: []manifests.StepUsage{
			{Step: "draft/1", Model: "bagel@1", Usage: draft},
			{Step: "hindsight/1", Model: "qwen@1", Usage: qwen},
			{Step: "hindsight/1", Model: "free@1", Usage: free},
			{Step: "old/1", Model: "bagel@1", Usage: old},
		},
		Modes: []manifests.ModeUsage{
			{Mode: "thinking", Usage: sum(qwen, free)},
			{Mode: "full", Usage: sum(draft, qwen, free)},
		},
		Servers: []manifests.ServerUsage{{Model: "bagel@1", Server: "gpu 0", Usage: manifests.Usage{Calls: 6, Seconds: 180, GPUSeconds: 360, Cost: 0.25}}},
		Total:   sum(draft, qwen, free, old),
		Doubles: manifests.Usage{Calls: 3, Seconds: 36, GPUSeconds: 72, Cost: 0.55},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Total.Calls != 16 || math.Abs(got.Total.Cost-5.55) > 1e-9 {
		t.Errorf("the total is %+v, want 16 calls for 5.55", got.Total)
	}
}

// TestAccountsOfSnapshots: the account of a snapshot is that of its first
// publication, and a damaged one is found.
func TestAccountsOfSnapshots(t *testing.T) {
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.LoadAccount(t.Context(), store, 1); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("got %v, want that there is none", err)
	}
	first := manifests.NewAccount([]manifests.StepCost{{Step: "draft/1", Model: "m@1", Calls: 3, Seconds: 1.5}}, nil, nil, nil, nil, nil)
	for _, a := range []manifests.Account{first, {}} {
		if err := manifests.PutAccount(t.Context(), store, 1, a); err != nil {
			t.Fatal(err)
		}
	}
	got, err := manifests.LoadAccount(t.Context(), store, 1)
	if diff := cmp.Diff(first, got); diff != "" || err != nil {
		t.Errorf("%v, diff %s", err, diff)
	}
	if err := blob.PutBytes(t.Context(), store, manifests.AccountKey(2), []byte("{"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.LoadAccount(t.Context(), store, 2); err == nil || !strings.Contains(err.Error(), "snapshot 2") {
		t.Errorf("got %v, want an error with the snapshot", err)
	}
}

func TestPricesAndBudgetsValidate(t *testing.T) {
	for want, p := range map[string]manifests.Price{
		"per_call is -1":          {PerCall: -1},
		"per_million_in is NaN":   {PerMillionIn: math.NaN()},
		"per_million_out is +Inf": {PerMillionOut: math.Inf(1)},
		"gpus is 0":               {PerGPUHour: 2},
		"gpus is -2":              {GPUs: -2},
	} {
		err := manifests.Prices{"m@1": p}.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m@1") {
			t.Errorf("got %v, want an error with %q and the model", err, want)
		}
	}
	prices := manifests.Prices{"m@1": {PerGPUHour: 2, GPUs: 8}, "n@1": {PerCall: 1}}
	if err := prices.Validate(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		budget manifests.Budget
		prices manifests.Prices
		want   string // "" for none
	}{
		{manifests.Budget{}, nil, ""},
		{manifests.Budget{MaxCalls: 1}, nil, ""},
		{manifests.Budget{MaxCalls: 1, MaxGPUHours: 2, MaxCost: 3}, prices, ""},
		{manifests.Budget{MaxCalls: -1}, nil, "max_calls is -1"},
		{manifests.Budget{MaxCost: math.NaN()}, prices, "max_cost is NaN"},
		{manifests.Budget{MaxCost: 1}, nil, "no model has a price"},
		{manifests.Budget{MaxCost: 1}, manifests.Prices{"m@1": {GPUs: 1}}, "no model has a price"},
		{manifests.Budget{MaxGPUHours: 1}, manifests.Prices{"n@1": {PerCall: 1}}, "no model has gpus"},
	} {
		err := tc.budget.Validate(tc.prices)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %q", tc.budget, err, tc.want)
		}
	}
}

func TestSpending(t *testing.T) {
	prices := manifests.Prices{"m@1": {PerCall: 1, PerMillionOut: 2, GPUs: 2}}
	ended := &manifests.Call{Model: "m@1", Seconds: 900, TokensOut: 500_000, Rule: "refused"} // half a GPU hour, for 2
	for _, tc := range []struct {
		budget manifests.Budget
		calls  int // that are made; 99: all
		want   string
	}{
		{manifests.Budget{}, 99, ""},
		{manifests.Budget{MaxCalls: 3}, 3, "max_calls is 3"},
		{manifests.Budget{MaxGPUHours: 1}, 2, "max_gpu_hours is 1"},
		{manifests.Budget{MaxCost: 5}, 3, "max_cost is 5"},
		{manifests.Budget{MaxCalls: 7, MaxCost: 5}, 3, "max_cost"},
	} {
		s := manifests.NewSpending(tc.budget, prices)
		calls := 0
		var err error
		for ; calls < 99; calls++ {
			if err = s.Begin(t.Context()); err != nil {
				break
			}
			s.End(ended)
		}
		if calls != tc.calls || (err != nil) != (tc.want != "") {
			t.Errorf("%+v: %d calls and %v, want %d", tc.budget, calls, err, tc.calls)
		}
		if err != nil && (!errors.Is(err, manifests.ErrBudget) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%+v: got %v, want ErrBudget with %q", tc.budget, err, tc.want)
		}
		if u := s.Used(); u.Calls != calls || u.Failed != calls || u.GPUSeconds != float64(calls)*1800 {
			t.Errorf("%+v: used %+v after %d calls", tc.budget, u, calls)
		}
	}
}

// TestSpendingWaits: who is denied a call waits for those under way, unless the
// run is cancelled, and a call that ends without an answer gives no new one.
func TestSpendingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := manifests.NewSpending(manifests.Budget{MaxCalls: 1}, nil)
		if err := s.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Begin(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the end of the context", err)
		}
		denied := make(chan error, 1)
		go func() { denied <- s.Begin(t.Context()) }()
		synctest.Wait()
		if len(denied) != 0 {
			t.Error("did not wait for the call under way")
		}
		s.End(nil)
		for range 2 {
			if err := <-denied; !errors.Is(err, manifests.ErrBudget) {
				t.Errorf("got %v, want ErrBudget", err)
			}
			denied <- s.Begin(t.Context())
		}
		if u := s.Used(); u.Calls != 0 {
			t.Errorf("used %+v, want a call without an answer to cost nothing", u)
		}
	})
}

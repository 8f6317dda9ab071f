package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
)

// TestTwoMachinesCountDoubles has a second machine build the whole dataset
// while the first waits for an answer. What both made is counted on every
// machine, and each build says so.
func TestTwoMachinesCountDoubles(t *testing.T) {
	first := newSite(t, samplePairs(t, 4), s3test.Start(t))
	second := first.beside(t)
	first.models.onRequest(1, func() {
		if out, err := second.command(t.Context(), "build").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	first.must(t, "build")
	want := 0
	for _, times := range first.models.asked() {
		want += times - 1
	}
	if want < 1 {
		t.Error("the machines had no call under way at one time")
	}
	first.models.forget()
	for i, s := range []*site{first, second, first.beside(t)} {
		if out := s.must(t, "build"); s.models.made() > 0 || !strings.Contains(out, fmt.Sprintf("  doubles   %s of this dataset", plural(int64(want), "call"))) {
			t.Errorf("machine %d: want %d doubles:\n%s", i, want, out)
		}
		out, err := s.command(t.Context(), "ledger", "stats", "--json").Output()
		var stats ledgerStats
		if err == nil {
			err = json.Unmarshal(out, &stats)
		}
		got := 0
		for _, d := range stats.Doubles {
			got += d.Calls
		}
		if err != nil || got != want || stats.Calls != 16 {
			t.Errorf("machine %d counts %d doubles and %d calls, want %d and 16 (%v)", i, got, stats.Calls, want, err)
		}
	}
}

// TestTwoMachinesOneBucket builds the same dataset from two work folders at
// once, into one bucket of a real S3 server. Both end well and publish one
// snapshot, no call is lost, and one that was finished before the second build
// began is not made again; calls under way may be made by both.
func TestTwoMachinesOneBucket(t *testing.T) {
	first := newSite(t, samplePairs(t, 12), s3test.Start(t))
	second := first.beside(t)
	// A preview on the first one finishes some calls.
	first.must(t, "build", "--limit", "3")
	finished := first.models.asked()
	first.models.forget()

	atOnce(t, first, second)
	for answer, times := range first.models.asked() {
		if finished[answer] > 0 {
			t.Errorf("a finished call was made again: %.100s", answer)
		}
		if times > 2 {
			t.Errorf("a call was made %d times: %.100s", times, answer)
		}
	}
	first.models.forget()
	third := first.beside(t)
	out := third.must(t, "build")
	if n := first.models.made(); n > 0 || !strings.Contains(out, "Snapshot 2 already holds exactly this") {
		t.Errorf("a third build made %d calls:\n%s", n, out)
	}
	third.must(t, "verify", "--full")
	third.must(t, "gc", "--grace", "0")
}

// atOnce builds in sites at the same time, to their good ends.
func atOnce(t *testing.T, sites ...*site) {
	t.Helper()
	var builds []*process
	for _, s := range sites {
		builds = append(builds, s.start(t))
	}
	for _, b := range builds {
		if code := b.wait(); code != exitDone {
			t.Errorf("code %d\n%s", code, b.said.text())
		}
	}
}

// TestTwoConfigurationsAtOnce: of two builds of one dataset that publish at once,
// one follows the other. Both snapshots are whole.
func TestTwoConfigurationsAtOnce(t *testing.T) {
	first := newSite(t, samplePairs(t, 4), nil)
	second := first.beside(t)
	second.configure(t, "", "coverage, min: 0", "coverage, min: 0.01")
	atOnce(t, first, second)
	store := first.store(t)
	numbers, err := manifests.Numbers(t.Context(), store)
	if err != nil || len(numbers) != 2 {
		t.Fatalf("snapshots %v (%v)", numbers, err)
	}
	a, errA := manifests.Load(t.Context(), store, 1)
	b, errB := manifests.Load(t.Context(), store, 2)
	if errA != nil || errB != nil || a.Configuration == b.Configuration || b.Parent != 1 {
		t.Errorf("%v %v: configurations %s and %s", errA, errB, a.Configuration, b.Configuration)
	}
	first.must(t, "verify", "--full")
}

// TestKilledReaders: a command without a ledger of its own fills one among the
// temporary files. What a killed one has left there goes with the next command,
// whatever it does; that of one that lives stays.
func TestKilledReaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, samplePairs(t, 6), nil)
	s.must(t, "build")
	reader := s.beside(t)
	live, remove, err := blob.TempDir(reader.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"stats"}, {"gc"}, {"build"}} {
		dead := filepath.Join(reader.dir, ".irgdata-tmp-dead")
		if err := os.Mkdir(dead, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dead, "ledger.sqlite"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		reader.must(t, command...)
		if left := temporaryFiles(t, reader.dir); !slices.Equal(left, []string{live}) {
			t.Errorf("%v leaves %v, want that of the living command alone", command, left)
		}
	}
	remove()
	if left := temporaryFiles(t, reader.dir); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

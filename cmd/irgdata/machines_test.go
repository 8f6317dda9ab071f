package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// machines returns a function that gives a work folder of its own to each of
// several machines on one bucket.
func machines(t *testing.T, n int) (*modelServer, func() string) {
	s3 := s3test.Start(t)
	s3.Bucket(t, "irgl")
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, n, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	return models, func() string {
		dir := t.TempDir()
		text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
		text = strings.Replace(text, "store: store", fmt.Sprintf("store: s3://irgl/shared\ns3: {endpoint: %q, path_style: true}", s3.Endpoint), 1)
		if err := os.WriteFile(filepath.Join(dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
}

// TestTwoMachinesCountDoubles has a second machine build the whole dataset
// while the first waits for an answer. What both made is counted on every
// machine, and the first to come back says so.
func TestTwoMachinesCountDoubles(t *testing.T) {
	models, machine := machines(t, 4)
	first, second := machine(), machine()
	models.onRequest(1, func() {
		if out, err := command(t.Context(), second, "build").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if out, err := command(t.Context(), first, "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := 0
	for _, times := range models.asked() {
		want += times - 1
	}
	if want < 1 {
		t.Error("the machines had no call under way at one time")
	}
	models.forget()
	for i, dir := range []string{first, second, machine()} {
		out, err := command(t.Context(), dir, "build").CombinedOutput()
		if err != nil || models.made() > 0 || !strings.Contains(string(out), fmt.Sprintf("  doubles   %s of this dataset", plural(int64(want), "call"))) {
			t.Errorf("machine %d: want %d doubles: %v\n%s", i, want, err, out)
		}
		out, err = command(t.Context(), dir, "ledger", "stats", "--json").Output()
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
	models, machine := machines(t, 12)
	// A preview on the first one finishes some calls.
	first, second := machine(), machine()
	if out, err := command(t.Context(), first, "build", "--limit", "3").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	finished := models.asked()
	models.forget()

	type ended struct {
		out []byte
		err error
	}
	builds := make(chan ended, 2)
	for _, dir := range []string{first, second} {
		go func() {
			out, err := command(t.Context(), dir, "build").CombinedOutput()
			builds <- ended{out, err}
		}()
	}
	for range 2 {
		if b := <-builds; b.err != nil {
			t.Errorf("%v\n%s", b.err, b.out)
		}
	}
	for answer, times := range models.asked() {
		if finished[answer] > 0 {
			t.Errorf("a finished call was made again: %.100s", answer)
		}
		if times > 2 {
			t.Errorf("a call was made %d times: %.100s", times, answer)
		}
	}
	models.forget()
	third := machine()
	out, err := command(t.Context(), third, "build").CombinedOutput()
	if err != nil || models.made() > 0 || !strings.Contains(string(out), "Snapshot 2 already holds exactly this") {
		t.Errorf("a third build made %d calls: %v\n%s", models.made(), err, out)
	}
	if out, err := command(t.Context(), third, "verify", "--full").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := command(t.Context(), third, "gc", "--grace", "0").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

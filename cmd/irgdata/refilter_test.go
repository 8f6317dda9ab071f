package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/manifests"
)

// TestAnotherThresholdIsAFreshBuild: a rebuild under another threshold makes no
// call, and what it publishes is what a build from nothing publishes under it,
// down to the digests of the shards. A dry run tells its funnel before.
func TestAnotherThresholdIsAFreshBuild(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if code := run([]string{"samples", "10", "pairs", "--seed", "3"}, io.Discard, os.Stderr); code != exitDone {
		t.Fatalf("samples ended with %d", code)
	}
	const rest = "\nsources: [{path: pairs}]\nexport: {ranks: 1, workers: 1}\n"
	for name, text := range map[string]string{"first.yaml": rest, "strict.yaml": "filter: {rules: [{rule: unchanged, min: 30}]}" + rest} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	content := func(config, name string, number int) manifests.Content {
		t.Helper()
		if code := run([]string{"build", "-c", config, "--store", name, "--work", filepath.Join(name, "work"), "--to", filepath.Join(name, "export")}, io.Discard, io.Discard); code != exitDone && code != exitRejects {
			t.Fatalf("build of %s ended with %d", config, code)
		}
		c, err := loadConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		c.Store = filepath.Join(dir, name)
		d, err := openDataset(t.Context(), c, store, newLog(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		defer d.close(t.Context())
		s, err := manifests.Load(t.Context(), d.store, number)
		if err != nil {
			t.Fatal(err)
		}
		return s.Content
	}
	first := content("first.yaml", "one", 1)
	var told strings.Builder
	if code := run([]string{"filter", "--dry-run", "--set", "unchanged.min=30", "--json", "-c", "first.yaml", "--store", "one"}, &told, os.Stderr); code != exitDone {
		t.Fatalf("the dry run ended with %d", code)
	}
	again := content("strict.yaml", "one", 2)
	fresh := content("strict.yaml", "two", 1)
	if diff := cmp.Diff(fresh, again); diff != "" {
		t.Errorf("another threshold over a dataset and from nothing: %s", diff)
	}
	var dry moved
	if err := json.Unmarshal([]byte(told.String()), &dry); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again.Counts.Funnels, dry.After); diff != "" {
		t.Errorf("the dry run told another funnel than the build has: %s", diff)
	}
	if diff := cmp.Diff(first.Counts.Funnels, dry.Before); diff != "" {
		t.Errorf("the dry run told another funnel than the snapshot has: %s", diff)
	}
	if first.Counts.Modes[5].Rows == again.Counts.Modes[5].Rows {
		t.Errorf("the threshold rejects nothing: %+v", again.Counts.Modes)
	}
}

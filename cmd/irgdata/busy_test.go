package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
)

// TestBusyPlaceInABucket: while another run exports to the place, build ends with the
// code that says to try again, and then exports.
func TestBusyPlaceInABucket(t *testing.T) {
	s3 := s3test.Start(t)
	s3.Bucket(t, "exports")
	dir := t.TempDir()
	config := filepath.Join(dir, "irgdata.yaml")
	err := os.WriteFile(config, []byte(`
sources: [{path: "`+samplePairs(t, 3)+`"}]
image: {width: 64, height: 64}
models: {m: {kind: scenes}}
roles: {base: m, annotator: m}
s3: {endpoint: "`+s3.Endpoint+`", path_style: true}
export: {to: "s3://exports/x", formats: [jsonl]}
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	place, err := openBucket(t.Context(), "s3://exports/x/snapshot-000001-jsonl", S3{Endpoint: s3.Endpoint, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	other, err := manifests.BeginAlone(t.Context(), place, "export")
	if err != nil {
		t.Fatal(err)
	}
	var out, says strings.Builder
	if code := run([]string{"build", "--config", config}, &out, &says); code != exitTryAgain || !strings.Contains(says.String(), "another export to this place is under way: wait for it: another run is at it: export on ") {
		t.Errorf("code %d: %s", code, says.String())
	}
	if err := other.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	says.Reset()
	if code := run([]string{"export", "--config", config}, &out, &says); code != exitDone {
		t.Errorf("code %d: %s", code, says.String())
	}
}

package export_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
)

// TestFormatsGoOn: an export that was broken off again and again writes no file
// again that was whole, and its end is that of an undisturbed one.
func TestFormatsGoOn(t *testing.T) {
	store, s := snapshot(t, 6)
	s3 := s3test.Start(t)
	s3.Bucket(t, "exports")
	formats := otherFormats()
	if testing.Short() {
		formats = []export.Format{export.JSONL, export.WebDataset} // the writing of Parquet takes its time
	}
	for _, f := range formats {
		o := formatOptions(t, f, export.Selection{Validation: 0.3, Shuffle: true, Seed: 2})
		o.FileBytes = map[export.Format]int64{export.HF: 20_000, export.Parquet: 2000}[f] // a file for each few examples
		if o.FileBytes == 0 {
			o.FileBytes = 9000
		}
		undisturbed := newStore(t)
		counted := faultblob.New(undisturbed, faultblob.Nth(-1, faultblob.None))
		if _, _, err := export.Write(t.Context(), store, s, counted, o); err != nil {
			t.Fatal(err)
		}
		want := tree(t, undisturbed.URL("."))
		t.Run(string(f)+" in a folder", func(t *testing.T) {
			formatGoesOn(t, store, s, newStore(t), o, want, counted.Operations())
		})
		t.Run(string(f)+" in a bucket", func(t *testing.T) {
			dest, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "exports", Prefix: string(f), Endpoint: s3.Endpoint, PathStyle: true})
			if err != nil {
				t.Fatal(err)
			}
			formatGoesOn(t, store, s, dest, o, want, counted.Operations())
		})
	}
}

func formatGoesOn(t *testing.T, store blob.Store, s manifests.Snapshot, dest blob.Store, o export.Options, want map[string]string, operations int) {
	random := rand.New(rand.NewPCG(1, uint64(operations)))
	kept := map[string]bool{} // whole before the last try
	const breaks = 3
	for try := 0; ; try++ {
		before := wholeFiles(t, dest)
		for name := range before {
			kept[name] = true
		}
		for _, name := range []string{"images/00/strange.png", "trajectories/strange.parquet", "strange"} {
			if _, err := export.ReadManifest(t.Context(), dest); err == nil {
				break // a whole export is left as it is
			}
			if err := blob.PutBytes(t.Context(), dest, name, []byte("strange"), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		fault := faultblob.Nth(-1, faultblob.None)
		if try < breaks {
			fault = faultblob.Nth(operations/3+random.IntN(operations*2/3), []faultblob.Fault{faultblob.Before, faultblob.Midway, faultblob.After}[try%3])
		}
		puts := &putCounter{Store: faultblob.New(dest, fault), keys: map[string]int{}}
		_, _, err := export.Write(t.Context(), store, s, puts, o)
		for name := range before {
			if puts.keys[name] > 0 {
				t.Errorf("%s was written again", name)
			}
		}
		if err == nil {
			break
		}
		if !errors.Is(err, faultblob.ErrInjected) {
			t.Fatal(err)
		}
	}
	if len(kept) < 3 {
		t.Errorf("%d files were kept", len(kept))
	}
	sameTrees(t, want, stored(t, dest))
}

// wholeFiles are those that the export's progress lists, and its images.
func wholeFiles(t *testing.T, dest blob.Store) map[string]bool {
	files := map[string]bool{}
	text, err := blob.ReadAll(t.Context(), dest, "progress.json", 1<<20)
	if errors.Is(err, blob.ErrNotExist) {
		return files
	}
	if err != nil {
		t.Fatal(err)
	}
	var noted export.Manifest
	if err := json.Unmarshal(text, &noted); err != nil {
		t.Fatal(err)
	}
	for _, l := range noted.Modes {
		for _, f := range l.Files {
			files[f.Path] = true
		}
	}
	for o, err := range dest.List(t.Context(), "images/") {
		if err != nil {
			t.Fatal(err)
		}
		files[o.Key] = true
	}
	return files
}

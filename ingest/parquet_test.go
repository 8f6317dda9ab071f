package ingest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/ingest"
)

// testdata holds Parquet files that pyarrow and datasets wrote; make.py there
// says how.
var testdata = os.DirFS("testdata")

// readParquet reads files of testdata; each item is one line.
func readParquet(t *testing.T, o ingest.ParquetOptions) (lines []string, err error) {
	t.Helper()
	source := ingest.NewParquet("p", testdata, o)
	for item, err := range ingest.Open(t.Context(), []ingest.Source{source}, ingest.Options{Workers: 2}, keepIn(newImages(t))) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, describe(item.Value.Key, item.Value.Prompt, item.Value.Image.Format, item.Value.License))
		if r := item.Reject; r != nil {
			lines[len(lines)-1] = fmt.Sprintf("%s reject %s: %s", r.Pair.Key, r.Rule, r.Reason)
		}
	}
	return lines, nil
}

func describe(fields ...string) string { return strings.TrimSpace(strings.Join(fields, " | ")) }

func TestParquet(t *testing.T) {
	for _, c := range []struct {
		name string
		o    ingest.ParquetOptions
		want []string
	}{
		{"Hugging Face's struct", ingest.ParquetOptions{Files: []string{"hugging*.parquet"}, Caption: "caption", License: "licence"}, []string{
			"huggingface.parquet:0 | a red square | png | CC0-1.0",
			"huggingface.parquet:1 | a green square | jpeg |",
			"huggingface.parquet:2 | a blue square | webp | MIT",
			"huggingface.parquet:3 reject image: column image is null",
			"huggingface.parquet:4 reject caption: column caption is null",
		}},
		{"bare bytes, detected", ingest.ParquetOptions{Files: []string{"binary.parquet"}}, []string{
			"binary.parquet:0 | green | jpeg |",
			"binary.parquet:1 | blue | webp |",
			"binary.parquet:2 reject image: the 8 bytes are no JPEG, PNG or WebP image: image: unknown format",
			"binary.parquet:3 reject image: column jpg is null",
		}},
		{"paths alone", ingest.ParquetOptions{Files: []string{"path.parquet"}, Caption: "b"}, []string{
			`path.parquet:0 reject image: column image holds the path "1.png" and no bytes`,
		}},
		{"no Parquet at all", ingest.ParquetOptions{Files: []string{"make.py"}}, []string{
			"make.py reject parquet: parquet: it is no Parquet file, or its footer is damaged: parquet: file is smaller than indicated metadata size",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readParquet(t, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParquetConfiguration: a configuration that does not fit the files is an
// error that names what is there and the key to set.
func TestParquetConfiguration(t *testing.T) {
	for want, o := range map[string]ingest.ParquetOptions{
		"which column is the caption cannot be told, among image, a, b: set `columns.caption`": {Files: []string{"path.parquet"}},
		`there is no column "title" for the caption, only id, caption, licence, image: mend`:   {Files: []string{"huggingface.parquet"}, Caption: "title"},
		`column "id" cannot hold the caption: mend`:                                            {Files: []string{"huggingface.parquet"}, Caption: "id"},
		`no file is named "*.pq": mend the path`:                                               {Files: []string{"*.pq"}},
		`"[" is no pattern of file names`:                                                      {Files: []string{"["}},
	} {
		if _, err := readParquet(t, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestParquetDamage cuts a file off and flips its bytes: what can be read
// comes in, the rest is a reject, and the run goes on to the next file.
func TestParquetDamage(t *testing.T) {
	whole, err := os.ReadFile("testdata/binary.parquet")
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 7 {
		damaged := append([]byte{}, whole...)
		damaged[at] ^= 0x5a
		fsys := fstest.MapFS{"a.parquet": {Data: damaged}, "b.parquet": {Data: whole[:at]}, "c.parquet": {Data: whole}}
		source := ingest.NewParquet("p", fsys, ingest.ParquetOptions{Files: []string{"*.parquet"}, Caption: "text", Image: "jpg"})
		last := ""
		for item, err := range ingest.Open(t.Context(), []ingest.Source{source}, ingest.Options{Workers: 2}, keepIn(newImages(t))) {
			switch {
			case err != nil:
				t.Fatalf("byte %d: %v", at, err)
			case item.Reject != nil:
				last = item.Reject.Pair.Key
			default:
				last = item.Value.Key
			}
		}
		if !strings.HasPrefix(last, "c.parquet") {
			t.Errorf("byte %d: the last item is %s, want one of c.parquet", at, last)
		}
	}
}

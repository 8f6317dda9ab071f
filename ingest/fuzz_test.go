package ingest_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/irgdata/irgdata/ingest"
)

// read reads a source of hostile content to its end. Whatever it is, each item
// has a key, and an image or a problem; no name leads out of the file system.
func read(t *testing.T, s ingest.Source) {
	t.Helper()
	for unit, err := range s.Units(t.Context()) {
		if err != nil {
			return // the configuration does not fit
		}
		for raw, err := range unit.Items {
			if err != nil {
				t.Fatal(err)
			}
			if raw.Key == "" || (raw.Problem == "") != (raw.Rule == "") {
				t.Errorf("item %+v", raw)
			}
			if raw.Problem == "" && strings.Contains(describe(raw), "WITHOUT AN IMAGE") && raw.Name == "" {
				t.Errorf("item %+v has no image and no problem", raw)
			}
			if strings.HasPrefix(raw.File.Name, "../") || strings.HasPrefix(raw.File.Name, "/") {
				t.Errorf("item %+v is outside", raw)
			}
		}
	}
}

func FuzzTar(f *testing.F) {
	sound := tarOf(f, "a.jpg", "A", "a.txt", "first", "d/b.png", "B", "d/b.json", `{"caption": "second"}`)
	f.Add(sound)
	f.Add(gzipped(f, sound))
	f.Add(zstded(f, sound))
	f.Fuzz(func(t *testing.T, content []byte) {
		read(t, ingest.NewTar("s", ingest.Location{FS: fstest.MapFS{"x.tar": {Data: content}}, Pattern: "x.tar"}, ingest.Columns{}))
	})
}

func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, "a.jpg", "A", "a.txt", "first", "metadata.jsonl", `{"file_name": "b.jpg", "text": "x"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		read(t, ingest.NewZip("s", ingest.Location{FS: fstest.MapFS{"x.zip": {Data: content}}, Pattern: "x.zip"}, ingest.Columns{}))
	})
}

func FuzzTable(f *testing.F) {
	for _, extension := range []string{".jsonl", ".json", ".csv", ".tsv", ".txt"} {
		f.Add(extension, []byte("caption,image\na,1.png\n\"b\nc\",http://x/2.png\n"))
		f.Add(extension, []byte("caption\timage\na \"b\" c\t../1.png\n"))
		f.Add(extension, []byte(`{"caption": "a", "image": "1.png"}`+"\n"+`{"caption": "b", "image": {"bytes": "QQ=="}}`))
		f.Add(extension, []byte(`[{"prompt": "a", "url": "data:image/png;base64,QQ=="}, {"prompt": 1}]`))
	}
	f.Fuzz(func(t *testing.T, extension string, content []byte) {
		if strings.ContainsAny(extension, "/*?[{\x00") {
			t.Skip("no extension")
		}
		l := ingest.Location{FS: fstest.MapFS{"x" + extension: {Data: content}}, Pattern: "x" + extension}
		read(t, ingest.NewTable("s", l, ingest.TableOptions{}))
		read(t, ingest.NewTable("s", l, ingest.TableOptions{PromptOnly: true}))
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"file_name": "a.png", "text": "x"}` + "\n" + `{"file_name": "../b.png", "text": "x"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		read(t, ingest.NewFolder("s", fstest.MapFS{"d/a.png": file("A"), "d/metadata.jsonl": {Data: content}, "b.png": file("B")}, "d", ingest.Columns{}))
	})
}

func FuzzParquetRows(f *testing.F) {
	for _, name := range []string{"binary.parquet", "path.parquet", "img2dataset.parquet"} {
		content, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		fsys := fstest.MapFS{"out/0.parquet": {Data: content}, "out/0/a.jpg": file("A")}
		read(t, ingest.NewParquet("s", ingest.Location{FS: fsys, Pattern: "out/0.parquet"}, ingest.TableOptions{}))
		read(t, ingest.NewImg2dataset("s", fsys, "out", ingest.Columns{}))
	})
}

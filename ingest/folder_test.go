package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/runtime/scenes"
)

func picture(t testing.TB, side int) (asPNG, asJPEG []byte) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, side, side))
	var p, j bytes.Buffer
	if err := png.Encode(&p, img); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&j, img, nil); err != nil {
		t.Fatal(err)
	}
	return p.Bytes(), j.Bytes()
}

func newImages(t testing.TB) *images.Store {
	t.Helper()
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return images.NewStore(objects)
}

func keepIn(store *images.Store) ingest.Keep {
	return func(ctx context.Context, encoded []byte) error {
		_, err := store.Put(ctx, encoded)
		return err
	}
}

// TestFolder: each item of a folder is a pair or a reject that says why.
func TestFolder(t *testing.T) {
	p, j := picture(t, 64)
	other, _ := picture(t, 65)
	fsys := fstest.MapFS{}
	file := func(name string, content []byte) { fsys[name] = &fstest.MapFile{Data: content} }
	file("a.png", p)
	file("a.txt", []byte(" a grey square\n"))
	file("b.JPG", j)
	file("b.txt", []byte("a grey square"))
	file("c.png", p) // the same as a
	file("c.txt", []byte("a grey square"))
	file("d.png", other)
	file("e-empty.png", p)
	file("e-empty.txt", []byte("  "))
	file("f-cut.jpg", j[:len(j)*2/3])
	file("f-cut.txt", []byte("cut"))
	file("g-zero.png", nil)
	file("g-zero.txt", []byte("zero"))
	file("h-latin.png", p)
	file("h-latin.txt", []byte("caf\xe9"))
	file("readme.md", []byte("not an image"))
	file("sub/a.png", p)
	file("sub/b.png", other)
	file("sub/metadata.jsonl", []byte(`{"file_name": "a.png", "text": "from the metadata"}
{"file_name": "../a.png", "text": "another folder's"}
{"file_name": "../../etc/passwd", "text": "outside"}
{"file_name": "absent.png", "text": "absent"}
{"file_name": "b.png"}
not json
`))
	file("sub/b.txt", []byte("from the text file"))
	file("top/metadata.jsonl", []byte(`{"file_name": "deep/er/a.png", "text": "from above"}
{"file_name": "deep/er/b.png", "text": "from above"}`))
	file("top/deep/er/metadata.jsonl", []byte(`{"file_name": "b.png", "text": "from beside"}`))
	file("top/deep/er/a.png", p)
	file("top/deep/er/b.png", p)

	store := newImages(t)
	var got []string
	for item, err := range ingest.Open(t.Context(), []ingest.Source{ingest.NewFolder("photos", fsys)}, ingest.Options{Workers: 3}, keepIn(store)) {
		if err != nil {
			t.Fatal(err)
		}
		if r := item.Reject; r != nil {
			if r.Stage != "ingest" || r.Reason == "" || r.Pair.Source != "photos" {
				t.Errorf("reject %+v", r)
			}
			got = append(got, fmt.Sprintf("%s: reject %s", r.Pair.Key, r.Rule))
			continue
		}
		got = append(got, fmt.Sprintf("%s: %q %s", item.Value.Key, item.Value.Prompt, item.Value.Image.Format))
		if _, err := store.Bytes(t.Context(), item.Value.Image); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		`a.png: "a grey square" png`,
		`b.JPG: "a grey square" jpeg`,
		`c.png: reject duplicate`,
		`d.png: reject caption`,
		`e-empty.png: reject caption`,
		`f-cut.jpg: reject image`,
		`g-zero.png: reject image`,
		`h-latin.png: reject caption`,
		`sub/metadata.jsonl:2: reject metadata`,
		`sub/metadata.jsonl:3: reject metadata`,
		`sub/metadata.jsonl:4: reject metadata`,
		`sub/metadata.jsonl:5: reject metadata`,
		`sub/metadata.jsonl:6: reject metadata`,
		`sub/a.png: "from the metadata" png`,
		`sub/b.png: "from the text file" png`,
		`top/deep/er/a.png: "from above" png`,
		`top/deep/er/b.png: "from beside" png`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzMetadata: whatever a metadata.jsonl holds, no line of it reaches out of
// the folder, stops the run or changes what the next folder gives.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"file_name":"a.png","text":"x"}`, `{"file_name":"../z/b.png","text":"x"}`, "\x00\n[]\n{", `{"file_name":"a.png","text":null}`} {
		f.Add([]byte(seed))
	}
	p, _ := picture(f, 64)
	f.Fuzz(func(t *testing.T, text []byte) {
		fsys := fstest.MapFS{
			"a/a.png": {Data: p}, "a/a.txt": {Data: []byte("from the text file")}, "a/metadata.jsonl": {Data: text},
			"z/b.png": {Data: p}, "z/b.txt": {Data: []byte("from the text file")},
		}
		var keys []string
		for raw, err := range ingest.NewFolder("f", fsys).Pairs(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if raw.Rule != "metadata" {
				keys = append(keys, raw.Key)
			} else if raw.Problem == "" {
				t.Errorf("%+v", raw)
			}
			if raw.Key == "z/b.png" && raw.Caption != "from the text file" {
				t.Errorf("%+v", raw)
			}
		}
		if !slices.Equal(keys, []string{"a/a.png", "z/b.png"}) {
			t.Errorf("got %v", keys)
		}
	})
}

// TestBundledSample: the sample's pairs come in, its planted defects do not.
func TestBundledSample(t *testing.T) {
	pairs, rejects := 0, map[string]int{}
	for item, err := range ingest.Open(t.Context(), []ingest.Source{ingest.NewFolder("sample", scenes.SampleFS())}, ingest.Options{Workers: 2}, keepIn(newImages(t))) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Reject != nil {
			rejects[item.Reject.Rule]++
		} else {
			pairs++
		}
	}
	if pairs < 88 || rejects["duplicate"] != 1 || rejects["image"] != 1 || rejects["caption"] != 1 {
		t.Errorf("%d pairs, rejects %v", pairs, rejects)
	}
}

package scenes

import (
	"bytes"
	"flag"
	"image"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files and the bundled sample")

const (
	bundleSeed  = 1
	bundleClean = 90
)

// bundle makes the files of the bundled sample.
func bundle(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	put := func(i int, image []byte, caption string) {
		files[sampleName(i)+".jpg"], files[sampleName(i)+".txt"] = image, []byte(caption)
	}
	for i := range bundleClean {
		image, caption, err := encodeSample(bundleSeed, i)
		if err != nil {
			t.Fatal(err)
		}
		put(i, image, string(caption))
	}
	bad := func(k int) (i int, image []byte, caption string) {
		i = bundleClean + k
		image, text, err := encodeSample(bundleSeed, i)
		if err != nil {
			t.Fatal(err)
		}
		return i, image, string(text)
	}
	first := sampleName(0)
	put(bundleClean, files[first+".jpg"], string(files[first+".txt"]))
	i, img, _ := bad(1)
	put(i, img, "a dog riding a bicycle\n")
	i, img, _ = bad(2)
	put(i, img, "three red circles on a wooden table\n")
	i, img, caption := bad(3)
	put(i, img[:len(img)/2], caption)
	_, _, caption = bad(4)
	var tiny bytes.Buffer
	if err := jpeg.Encode(&tiny, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		t.Fatal(err)
	}
	put(bundleClean+4, tiny.Bytes(), caption)
	i, img, _ = bad(5)
	put(i, img, "")
	return files
}

// TestBundledSample checks that the bundled files are what the generator
// makes; -update writes them.
func TestBundledSample(t *testing.T) {
	files := bundle(t)
	if *update {
		if err := os.RemoveAll("sample"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir("sample", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join("sample", name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return // what is embedded is what was there at compile time
	}
	total, seen := 0, 0
	err := fs.WalkDir(SampleFS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(SampleFS(), path)
		if err != nil {
			return err
		}
		total += len(content)
		seen++
		if !bytes.Equal(content, files[path]) {
			t.Errorf("%s is not what the generator makes: go test ./runtime/scenes -run TestBundledSample -update", path)
		}
		return nil
	})
	if err != nil || seen != len(files) {
		t.Errorf("%d files, %v: want %d", seen, err, len(files))
	}
	if total > 1_200_000 {
		t.Errorf("the bundled sample takes %d bytes, which is too much for a binary", total)
	}
}

func TestWriteSamples(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := WriteSamples(dir, 3, bundleSeed); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for _, ext := range []string{".jpg", ".txt"} {
			got, err := os.ReadFile(filepath.Join(dir, sampleName(i)+ext))
			want, _ := fs.ReadFile(SampleFS(), sampleName(i)+ext)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s%s differs from the bundled one (%v)", sampleName(i), ext, err)
			}
		}
	}
	if err := WriteSamples(filepath.Join(dir, "000001.txt"), 1, 1); err == nil {
		t.Error("want an error for a folder that is a file")
	}
}

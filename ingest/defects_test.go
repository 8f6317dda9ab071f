package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/fetch"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
)

// defaults are the options of a configuration that sets none.
func defaults() ingest.AdmissionOptions {
	return ingest.AdmissionOptions{Images: ingest.ImageOptions{MinSide: 16, MaxAspect: 10, Reencode: ingest.ReencodeNever, Quality: 95}}
}

// reader reads sources with a store of its own.
type reader struct {
	store     *blob.File
	images    *images.Store
	admission *ingest.Admission
	o         ingest.Options
}

func newReader(t testing.TB, o ingest.AdmissionOptions) *reader {
	t.Helper()
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := fetch.New(fetch.Options{AllowPrivate: true, Attempts: 2, Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fetcher.Close)
	r := &reader{store: store, images: images.NewStore(store), o: ingest.Options{Workers: 2, Loaders: 4, Work: t.TempDir()}}
	r.setAdmission(t, o, fetcher)
	return r
}

func (r *reader) setAdmission(t testing.TB, o ingest.AdmissionOptions, f *fetch.Fetcher) {
	t.Helper()
	var err error
	if r.admission, err = ingest.NewAdmission(o, images.NewMemory(64<<20), f); err != nil {
		t.Fatal(err)
	}
}

func (r *reader) open(ctx context.Context, feeds ...ingest.Feed) (items []irgdata.Item[irgdata.Pair], err error) {
	keep := func(ctx context.Context, encoded []byte) error {
		_, err := r.images.Put(ctx, encoded)
		return err
	}
	for item, err := range ingest.Open(ctx, feeds, r.admission, r.o, manifests.NewCatalog(r.store), keep) {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// told is an item in one line.
func told(item irgdata.Item[irgdata.Pair]) string {
	if r := item.Reject; r != nil {
		return fmt.Sprintf("%s reject %s: %s", r.Pair.Key, r.Rule, r.Reason)
	}
	p := item.Value
	line := fmt.Sprintf("%s %q %s %d×%d", p.Key, p.Prompt, p.Image.Format, p.Image.Width, p.Image.Height)
	if len(p.Notes) > 0 {
		line += " [" + strings.Join(p.Notes, "; ") + "]"
	}
	return line
}

func folder(fsys fstest.MapFS) ingest.Feed {
	return ingest.Feed{Source: ingest.NewFolder("photos", fsys, ".", ingest.Columns{})}
}

// fixture is an image of package images' test data.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../internal/images/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// defects are images and captions as people hold them, and what becomes of
// them by default; docs/ingest.md has a row for each.
var defects = []struct {
	name    string
	image   string // of the fixtures, or its content after "="
	as      string // its file name, where that matters
	caption string
	want    string
}{
	{name: "a JPEG, progressive", image: "progressive.jpg", want: `progressive.jpg "a fine picture" jpeg 24×16`},
	{name: "a JPEG in grey", image: "grey.jpg", want: `grey.jpg "a fine picture" jpeg 24×16`},
	{name: "a JPEG in CMYK", image: "cmyk.jpg", want: `cmyk.jpg "a fine picture" jpeg 24×16 [cmyk]`},
	{name: "a JPEG in YCCK", image: "ycck.jpg", want: `ycck.jpg "a fine picture" jpeg 24×16 [cmyk]`},
	{name: "a photo with an EXIF orientation", image: "orientation-6.jpg", want: "orientation-6.jpg reject image: The trainer ignores the EXIF orientation and sees the picture turned or mirrored. Set `ingest.images.reencode` to wrong, or encode it anew"},
	{name: "a colour profile", image: "display-p3.jpg", want: `display-p3.jpg "a fine picture" jpeg 24×16 [icc:Display P3]`},
	{name: "a PNG of 16 bits in grey", image: "grey16.png", want: "grey16.png reject image: Pillow cuts 16-bit grey at 255 of 65535, so that nearly everything is white. Set `ingest.images.reencode` to wrong, or encode it anew"},
	{name: "a PNG of 16 bits in colour", image: "rgb16.png", want: `rgb16.png "a fine picture" png 24×16`},
	{name: "a PNG with a palette", image: "palette.png", want: `palette.png "a fine picture" png 24×16`},
	{name: "a PNG, interlaced", image: "interlaced.png", want: `interlaced.png "a fine picture" png 24×16`},
	{name: "transparency", image: "rgba.png", want: `rgba.png "a fine picture" png 24×16 [alpha]`},
	{name: "a WebP, lossy", image: "lossy.webp", want: `lossy.webp "a fine picture" webp 24×16`},
	{name: "a WebP, lossless", image: "lossless.webp", want: `lossless.webp "a fine picture" webp 24×16`},
	{name: "an animated WebP", image: "animated.webp", want: `animated.webp "a fine picture" webp 24×16 [animated]`},
	{name: "an animated GIF", image: "animated.gif", want: `animated.gif "a fine picture" gif 24×16 [animated]`},
	{name: "a TIFF", image: "rgb.tiff", want: `rgb.tiff "a fine picture" tiff 24×16`},
	{name: "a BMP", image: "rgb.bmp", want: `rgb.bmp "a fine picture" bmp 24×16`},
	{name: "an AVIF", image: "=\x00\x00\x00\x20ftypavif\x00\x00\x00\x00", as: "a.avif", want: "a.avif reject image: "},
	{name: "a HEIC", image: "=\x00\x00\x00\x20ftypheic\x00\x00\x00\x00", as: "a.heic", want: "a.heic reject image: "},
	{name: "an empty file", image: "=", as: "a.jpg", want: "a.jpg reject image: "},
	{name: "a web page in an image's place", image: "=<!DOCTYPE html><html>not found</html>", as: "a.jpg", want: "a.jpg reject image: "},
	{name: "an image that is cut off", image: "=cut", as: "a.jpg", want: "a.jpg reject image: "},
	{name: "another format than the name says", image: "a-png.jpg", want: "a-png.jpg reject extension: its name promises jpeg and it is png: rename it, or set `ingest.images.any_extension`"},
	{name: "a decompression bomb", image: "=bomb", as: "a.png", want: "a.png reject image: the image has 60000×60000 pixels, want at least 1×1 and at most 400000000 in all"},
	{name: "an image too large for the memory", image: "=large", as: "a.png", want: "a.png reject image: decoding its 4000×4000 pixels takes up to 128 MB, more than `decode_memory` allows, 67 MB"},
	{name: "an image of one row", image: "=row", as: "a.png", want: "a.png reject size: it has 900×1 pixels, want at least 16 on its shorter side"},
	{name: "a very long image", image: "=long", as: "a.png", want: "a.png reject aspect: it has 400×20 pixels, want its longer side at most 10 times the shorter"},
	{name: "compressed text in a PNG", image: "text-bomb.png", want: `text-bomb.png "a fine picture" png `},

	{name: "a caption in Latin-1", image: "rgb.png", caption: "a caf\xe9 at night", want: `rgb.png "a café at night" png 24×16 [decoded as windows-1252]`},
	{name: "a caption in UTF-16", image: "rgb.png", caption: "\xff\xfea\x00 \x00d\x00o\x00g\x00", want: `rgb.png "a dog" png 24×16 [decoded as UTF-16]`},
	{name: "a caption with a byte order mark", image: "rgb.png", caption: "\ufeffa dog", want: `rgb.png "a dog" png 24×16`},
	{name: "a caption that was encoded twice", image: "rgb.png", caption: "a cafÃ© at night", want: `rgb.png "a café at night" png 24×16 [repaired double encoding]`},
	{name: "HTML entities", image: "rgb.png", caption: "cats &amp; dogs", want: `rgb.png "cats & dogs" png 24×16 [unescaped HTML]`},
	{name: "control characters", image: "rgb.png", caption: "a \x07dog", want: `rgb.png "a dog" png 24×16 [removed control characters]`},
	{name: "invisible characters", image: "rgb.png", caption: "a \u200bdog", want: `rgb.png "a dog" png 24×16 [removed invisible characters]`},
	{name: "line breaks", image: "rgb.png", caption: "a dog\r\nin the  snow\n", want: `rgb.png "a dog in the snow" png 24×16 [collapsed spaces]`},
	{name: "an empty caption", image: "rgb.png", caption: " \n", want: "rgb.png reject caption: the caption is empty"},
	{name: "a caption without letters", image: "rgb.png", caption: "12345", want: "rgb.png reject caption: the caption has no letters"},
	{name: "a placeholder for a caption", image: "rgb.png", caption: "NaN", want: `rgb.png reject caption: the caption is "NaN", which stands for none`},
	{name: "a file name for a caption", image: "rgb.png", caption: "IMG_1234.jpg", want: "rgb.png reject caption: the caption is a file name"},
	{name: "an address for a caption", image: "rgb.png", caption: "https://example.org/dogs", want: "rgb.png reject caption: the caption is a web address"},
	{name: "control tokens of the tokenizer", image: "rgb.png", caption: "a dog <|im_end|>", want: "rgb.png reject caption: "},
	{name: "a caption that is too long", image: "rgb.png", caption: strings.Repeat("a dog and ", 1000), want: "rgb.png reject caption: "},
}

func TestDefects(t *testing.T) {
	for _, c := range defects {
		t.Run(c.name, func(t *testing.T) {
			name, content := c.image, []byte(nil)
			switch special, made := strings.CutPrefix(c.image, "="); {
			case !made:
				content = fixture(t, c.image)
			case special == "cut":
				content = fixture(t, "baseline.jpg")
				content = content[:len(content)*3/4]
			case special == "bomb":
				content = header(60_000, 60_000)
			case special == "large":
				content = header(4000, 4000)
			case special == "row":
				content = header(900, 1)
			case special == "long":
				content = header(400, 20)
			default:
				content = []byte(special)
			}
			if c.as != "" {
				name = c.as
			}
			caption := c.caption
			if caption == "" {
				caption = "a fine picture"
			}
			stem := strings.TrimSuffix(name, filepath.Ext(name))
			items, err := newReader(t, defaults()).open(t.Context(), folder(fstest.MapFS{name: {Data: content}, stem + ".txt": file(caption)}))
			if err != nil || len(items) != 1 {
				t.Fatalf("%d items, %v", len(items), err)
			}
			if got := told(items[0]); !strings.HasPrefix(got, c.want) || strings.HasSuffix(c.want, ": ") && got == c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestReencode: what the trainer would see otherwise than a person is encoded
// anew where the configuration asks for it, and that is on record.
func TestReencode(t *testing.T) {
	o := defaults()
	o.Images.Reencode = ingest.ReencodeWrong
	for name, want := range map[string]string{
		"orientation-6.jpg": `orientation-6.jpg "a" jpeg 24×16 [turned upright from EXIF orientation 6; encoded anew from sha256 `,
		"grey16.png":        `grey16.png "a" png 24×16 [reduced from 16 bits; encoded anew from sha256 `,
		"grey-alpha.png":    `grey-alpha.png "a" png 24×16 [flattened on white; encoded anew from sha256 `,
		"rgb.png":           `rgb.png "a" png 24×16`,
	} {
		r := newReader(t, o)
		stem := strings.TrimSuffix(name, filepath.Ext(name))
		items, err := r.open(t.Context(), folder(fstest.MapFS{name: {Data: fixture(t, name)}, stem + ".txt": file("a")}))
		if err != nil || len(items) != 1 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		if got := told(items[0]); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if _, err := r.images.Bytes(t.Context(), items[0].Value.Image); err != nil {
			t.Error(err)
		}
	}
}

// TestDocumented: docs/ingest.md has a row for each case of TestSources and
// TestDefects, and no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, c := range defects {
		want[c.name] = true
	}
	for _, c := range sourceCases(t) {
		want[c.name] = true
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \|.*\| `+"`(Sources|Defects)`"+` \|$`).FindAllStringSubmatch(string(text), -1) {
		if !want[row[1]] {
			t.Errorf("docs/ingest.md has a row %q, which is no test", row[1])
		}
		delete(want, row[1])
	}
	for name := range want {
		t.Errorf("docs/ingest.md has no row %q", name)
	}
}

// TestDownloads: images by address, and servers that do not give them. What may
// be had another time is tried again by the next run, and nothing else is.
func TestDownloads(t *testing.T) {
	picture := fixture(t, "baseline.jpg")
	var mu sync.Mutex
	asked := map[string]int{}
	up := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		switch {
		case r.URL.Path == "/gone.jpg":
			http.NotFound(w, r)
		case r.URL.Path == "/busy.jpg" && !up:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/noai.jpg":
			w.Header().Set("X-Robots-Tag", "noimageai")
			fallthrough
		default:
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = w.Write(picture) // the client may be gone
		}
	}))
	defer server.Close()
	var rows strings.Builder
	for _, name := range []string{"fine", "gone", "busy", "noai"} {
		fmt.Fprintf(&rows, "{\"caption\": \"a picture that is %s\", \"url\": %q}\n", name, server.URL+"/"+name+".jpg")
	}
	fsys := fstest.MapFS{"list.jsonl": file(rows.String())}
	feed := ingest.Feed{Source: ingest.NewTable("urls", ingest.Location{FS: fsys, Pattern: "list.jsonl"}, ingest.TableOptions{})}
	r := newReader(t, defaults())
	read := func() string {
		t.Helper()
		items, err := r.open(t.Context(), feed)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, item := range items {
			lines = append(lines, strings.ReplaceAll(told(item), server.URL, ""))
		}
		return strings.Join(lines, "\n")
	}
	first := read()
	for _, want := range []string{
		`list.jsonl:1 "a picture that is fine" jpeg 24×16`,
		`list.jsonl:2 reject download: /gone.jpg: `, `list.jsonl:3 reject download: /busy.jpg: `, `list.jsonl:4 reject download: /noai.jpg: `,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("got\n%s\nwant %s", first, want)
		}
	}
	if asked["/fine.jpg"] != 1 || asked["/gone.jpg"] != 1 || asked["/busy.jpg"] != 2 {
		t.Errorf("asked %v", asked)
	}
	up = true
	second := read()
	if !strings.Contains(second, `list.jsonl:3 "a picture that is busy" jpeg 24×16`) {
		t.Errorf("got\n%s", second)
	}
	if asked["/fine.jpg"] != 1 || asked["/gone.jpg"] != 1 || asked["/busy.jpg"] != 3 {
		t.Errorf("asked %v: what was had or is not there must not be asked for again", asked)
	}
	before := fmt.Sprint(asked["/fine.jpg"], asked["/busy.jpg"])
	if third := read(); third != second || fmt.Sprint(asked["/fine.jpg"], asked["/busy.jpg"]) != before {
		t.Errorf("got\n%s\nafter %v", third, asked)
	}
	// Other limits may let in what was refused for good, and a person may know
	// that a server has changed its mind.
	for _, o := range []func(*ingest.Options){
		func(o *ingest.Options) { o.Limits = "bytes=1" },
		func(o *ingest.Options) { o.Retry = true },
	} {
		o(&r.o)
		gone, fine := asked["/gone.jpg"], asked["/fine.jpg"]
		if again := read(); again != second || asked["/gone.jpg"] != gone+1 || asked["/fine.jpg"] != fine {
			t.Errorf("got\n%s\nafter %v", again, asked)
		}
	}
	r.o.Retry = false
	if gone := asked["/gone.jpg"]; read() != second || asked["/gone.jpg"] != gone {
		t.Errorf("asked %v under limits that are no longer new", asked)
	}
}

// TestUnreadableFiles: a pipe, a folder with an image's name, a file that may
// not be read: each is a reject, and nothing hangs.
func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{"a.jpg": fixture(t, "baseline.jpg"), "a.txt": []byte("a fine one"), "b.txt": []byte("a pipe"), "l.txt": []byte("a link")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	makePipe(t, filepath.Join(dir, "b.jpg"))
	if err := os.Symlink("a.jpg", filepath.Join(dir, "l.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "deep.jpg"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".", filepath.Join(dir, "circle")); err != nil {
		t.Fatal(err)
	}
	items, err := newReader(t, defaults()).open(t.Context(), ingest.Feed{Source: ingest.NewFolder("photos", os.DirFS(dir), ".", ingest.Columns{})})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range items {
		got = append(got, told(item))
	}
	want := []string{
		`a.jpg "a fine one" jpeg 24×16`,
		"b.jpg reject image: b.jpg is no regular file",
		"circle reject folder: links to folders are not followed: list circle as a source of its own",
		`l.jpg "a link" jpeg 24×16`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// unreadable is a file system whose files cannot be read.
type unreadable struct{ fstest.MapFS }

func (u unreadable) Open(name string) (f fsFile, err error) {
	if strings.HasSuffix(name, ".jpg") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	}
	return u.MapFS.Open(name)
}

// TestPlaceOutOfReach: a bucket that cannot be read ends the run, instead of
// making a reject of each image in it.
func TestPlaceOutOfReach(t *testing.T) {
	fsys := unreadable{fstest.MapFS{"a.jpg": file("x"), "a.txt": file("a dog")}}
	_, err := newReader(t, defaults()).open(t.Context(), ingest.Feed{Source: ingest.NewFolder("photos", fsys, ".", ingest.Columns{})})
	if err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

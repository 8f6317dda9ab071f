package ingest_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata/ingest"
)

// describe is an item in one line: its place, its caption, where its image is,
// or what is wrong with it.
func describe(r ingest.Raw) string {
	out := r.Key
	if r.Problem != "" {
		return fmt.Sprintf("%s reject %s: %s", out, r.Rule, r.Problem)
	}
	if r.CaptionFile.FS != nil {
		out += " caption in " + r.CaptionFile.Name
	} else {
		out += fmt.Sprintf(" %q", r.Caption)
	}
	switch {
	case r.Encoded != nil:
		out += fmt.Sprintf(" bytes %.20q", r.Encoded)
	case r.File.FS != nil:
		out += " file " + r.File.Name
	case r.Download != "":
		out += " download " + r.Download
	case r.PromptOnly:
		out += " prompt alone"
	default:
		out += " WITHOUT AN IMAGE"
	}
	if r.License != "" {
		out += " license " + r.License
	}
	if r.URL != "" {
		out += " url " + r.URL
	}
	return out
}

// items reads a source.
func items(t testing.TB, s ingest.Source) (lines []string, err error) {
	t.Helper()
	for unit, err := range s.Units(t.Context()) {
		if err != nil {
			return lines, err
		}
		if unit.Name == "" || unit.Version.IsZero() {
			t.Errorf("unit %+v has no name or version", unit)
		}
		for raw, err := range unit.Items {
			if err != nil {
				return lines, err
			}
			lines = append(lines, describe(raw))
		}
	}
	return lines, nil
}

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

// many are files of n pairs that share the part of their names before the
// first dot; manyItems are their items in an x.tar.
func many(key string, n int) (files []string) {
	for i := range n {
		name := fmt.Sprintf("%s.%06d", key, i)
		files = append(files, name+".jpg", "J", name+".txt", "pair "+name)
	}
	return files
}

func manyItems(key string, n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("x.tar/%s.%06d.jpg \"pair %[1]s.%06[2]d\" bytes \"J\"", key, i))
	}
	return lines
}

// tarOf packs files, given as name and content in turns; a content of "-> name"
// is a symbolic link and "=> name" a hard one.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		header := tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644, Typeflag: tar.TypeReg}
		for mark, link := range map[string]byte{"-> ": tar.TypeSymlink, "=> ": tar.TypeLink} {
			if to, ok := strings.CutPrefix(files[i+1], mark); ok {
				header.Typeflag, header.Linkname, header.Size = link, to, 0
			}
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Linkname != "" {
			continue
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(b, nil)
}

type sourceCase struct {
	name  string
	kind  ingest.Kind
	files fstest.MapFS
	at    string
	o     ingest.Columns
	want  []string
}

// sourceCases are the forms in which people hold pairs, whole and damaged;
// docs/ingest.md has a row for each.
func sourceCases(t testing.TB) []sourceCase {
	plain := tarOf(t, "a.jpg", "A", "a.txt", "first", "d/b.png", "B", "d/b.json", `{"caption": "second", "license": "MIT", "url": "http://x/b"}`)
	base := base64.StdEncoding.EncodeToString([]byte("BYTES"))
	return []sourceCase{
		{name: "folder with captions beside", at: ".", files: fstest.MapFS{
			"a.jpg": file("A"), "a.txt": file("x"), "b.PNG": file("B"), "b.caption": file("x"), "c.webp": file("C"), "c.json": file(`{}`), "d.gif": file("D"),
			"lonely.txt": file("x"), ".hidden.jpg": file("H"), "readme.md": file("R"), "sub/e.jpeg": file("E"), "sub/e.txt": file("x"),
		}, want: []string{
			"a.jpg caption in a.txt file a.jpg",
			"b.PNG caption in b.caption file b.PNG",
			"c.webp caption in c.json file c.webp",
			"d.gif reject caption: there is no caption: want d.txt, or a line of a metadata.jsonl",
			"lonely.txt reject image: there is no image beside this caption",
			"sub/e.jpeg caption in sub/e.txt file sub/e.jpeg",
		}},
		{name: "imagefolder with metadata", at: "photos", files: fstest.MapFS{
			"photos/metadata.jsonl":      file("{\"file_name\": \"a.jpg\", \"text\": \"from above\", \"license\": \"MIT\"}\n\n{\"file_name\": \"sub/b.jpg\", \"text\": \"from above\"}\nrubbish\n{\"file_name\": \"../c.jpg\", \"text\": \"outside\"}\n{\"file_name\": \"a.jpg\", \"text\": \"again\"}\n{\"text\": \"no name\"}\n"),
			"photos/a.jpg":               file("A"),
			"photos/sub/metadata.csv":    file("file_name,text\nb.jpg,\"from beside, with a comma\"\n"),
			"photos/sub/b.jpg":           file("B"),
			"photos/sub/not-named.jpg":   file("N"),
			"photos/sub/not-named.txt":   file("x"),
			"photos/.git/metadata.jsonl": file(`{"file_name": "x.jpg", "text": "x"}`),
		}, want: []string{
			`photos/sub/metadata.csv:2 "from beside, with a comma" file photos/sub/b.jpg`,
			`photos/metadata.jsonl:1 "from above" file photos/a.jpg license MIT`,
			`photos/metadata.jsonl:3 reject metadata: photos/sub/b.jpg has a caption from another row or a nearer metadata file`,
			`photos/metadata.jsonl:4 reject row: it is no JSON object: invalid character 'r' looking for beginning of value`,
			`photos/metadata.jsonl:5 reject metadata: the row names "../c.jpg", which is no path below its folder`,
			`photos/metadata.jsonl:6 reject metadata: photos/a.jpg has a caption from another row or a nearer metadata file`,
			`photos/metadata.jsonl:7 reject metadata: the row lacks file_name or text`,
			"photos/sub/not-named.jpg caption in photos/sub/not-named.txt file photos/sub/not-named.jpg",
		}},
		{name: "metadata with names of the folder itself", at: ".", files: fstest.MapFS{
			"metadata.jsonl": file(`{"file_name": "./a.jpg", "text": "t"}` + "\n" + `{"file_name": "./../b.jpg", "text": "t"}`), "a.jpg": file("A"),
		}, want: []string{
			`metadata.jsonl:1 "t" file a.jpg`,
			`metadata.jsonl:2 reject metadata: the row names "./../b.jpg", which is no path below its folder`,
		}},
		{name: "a table's name in capitals", at: "T.JSONL.GZ", files: fstest.MapFS{"T.JSONL.GZ": {Data: gzipped(t, []byte(`{"caption": "c", "image": "1.png"}`))}}, want: []string{
			`T.JSONL.GZ:1 "c" file 1.png`,
		}},
		{name: "metadata of another kind", at: ".", files: fstest.MapFS{
			"a.JPG": file("A"), "a.TXT": file("x"), "sub/metadata.csv": file("camera,iso\nX,100\n"), "sub/b.jpg": file("B"), "sub/b.txt": file("x"),
		}, kind: ingest.KindFolder, want: []string{
			"sub/metadata.csv reject fields: which field is the caption cannot be told, among camera, iso: set `columns.caption` in the configuration",
			"a.JPG caption in a.TXT file a.JPG",
			"sub/b.jpg caption in sub/b.txt file sub/b.jpg",
		}},
		{name: "tar", at: "x.tar", files: fstest.MapFS{"x.tar": {Data: plain}}, want: []string{
			`x.tar/a.jpg "first" bytes "A"`,
			`x.tar/d/b.png "second" bytes "B" license MIT url http://x/b`,
		}},
		{name: "a name like a pattern", at: "x[1]{2}.tar", kind: ingest.KindWebDataset, files: fstest.MapFS{"x[1]{2}.tar": {Data: plain}}, want: []string{
			`x[1]{2}.tar/a.jpg "first" bytes "A"`,
			`x[1]{2}.tar/d/b.png "second" bytes "B" license MIT url http://x/b`,
		}},
		{name: "tar.zst of pzstd", at: "x.tar.zst", files: fstest.MapFS{"x.tar.zst": {Data: append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zstded(t, plain)...)}}, want: []string{
			`x.tar.zst/a.jpg "first" bytes "A"`,
			`x.tar.zst/d/b.png "second" bytes "B" license MIT url http://x/b`,
		}},
		{name: "tar.gz and tar.zst, told by their content", at: "{a,b}.*", kind: ingest.KindWebDataset, files: fstest.MapFS{
			"a.tar.gz": {Data: gzipped(t, plain)}, "b.tar": {Data: zstded(t, plain)},
		}, want: []string{
			`a.tar.gz/a.jpg "first" bytes "A"`,
			`a.tar.gz/d/b.png "second" bytes "B" license MIT url http://x/b`,
			`b.tar/a.jpg "first" bytes "A"`,
			`b.tar/d/b.png "second" bytes "B" license MIT url http://x/b`,
		}},
		{name: "tar: several dots, several images, details, what is missing", at: "x.tar", files: fstest.MapFS{"x.tar": {Data: tarOf(t,
			"p.v1.jpg", "1", "p.v1.txt", "one", "p.v2.jpg", "2", "p.v2.txt", "two", // one key by WebDataset's rule, two pairs
			"q.jpg", "3", "q.txt", "three", "q.json", `{"caption": "other", "license": "CC0", "url": "http://q"}`, "q.npy", "feature",
			"r.jpg", "4",
			"s.txt", "no image",
			"t.jpg", "5", "t.json", `{"nothing": 1}`,
			"u.jpg", "6", "u.json", `nonsense`,
			"v.left.png", "7", "v.right.png", "8", "v.txt", "both",
			"../w.jpg", "9", "../w.txt", "outside",
		)}}, want: []string{
			`x.tar/p.v1.jpg "one" bytes "1"`,
			`x.tar/p.v2.jpg "two" bytes "2"`,
			`x.tar/q.jpg "three" bytes "3" license CC0 url http://q`,
			`x.tar/r.jpg reject caption: the sample has no caption: want r with .txt, .caption or .json`,
			`x.tar/s reject image: the sample has no image, only s.txt`,
			"x.tar/t.jpg reject caption: t.json: which field is the caption cannot be told, among nothing: set `columns.caption` in the configuration",
			`x.tar/u.jpg reject caption: u.json is no JSON object: invalid character 'o' in literal null (expecting 'u')`,
			`x.tar/v.left.png "both" bytes "7"`,
			`x.tar/v.right.png "both" bytes "8"`,
			`x.tar/../w.jpg "outside" bytes "9"`,
		}},
		{name: "tar that breaks off, tar that is none", at: "*.tar", files: fstest.MapFS{"a.tar": {Data: plain[:1600]}, "b.tar": file("rubbish, long enough to be read as a header"), "c.tar": file(""), "d.tar": {Data: plain}, "e.tar": {Data: append(bytes.Clone(plain), plain...)}}, kind: ingest.KindWebDataset, want: []string{
			`a.tar/a.jpg "first" bytes "A"`,
			`a.tar reject archive: the archive cannot be read after item 1: it has no end: it was cut off`,
			`b.tar reject archive: the archive cannot be read after item 0: unexpected EOF`,
			`c.tar reject archive: the archive cannot be read after item 0: it has no end: it was cut off`,
			`d.tar/a.jpg "first" bytes "A"`,
			`d.tar/d/b.png "second" bytes "B" license MIT url http://x/b`,
			`e.tar/a.jpg "first" bytes "A"`,
			`e.tar/d/b.png "second" bytes "B" license MIT url http://x/b`,
			`e.tar reject archive: the archive cannot be read after item 2: something follows its end, such as a second archive`,
		}},
		{name: "tar: a key twice, links, too many files of a key", at: "x.tar", files: fstest.MapFS{"x.tar": {Data: tarOf(t, append([]string{
			"a.jpg", "1", "a.txt", "one", "a.jpg", "2", "a.txt", "two", "E.JPG", "3", "E.TXT", "three",
			"b.jpg", "-> a.jpg", "b.txt", "linked", "c.jpg", "4", "c.txt", "=> a.txt",
		}, many("clip", 2050)...)...)}}, want: append(append([]string{
			`x.tar/a.jpg "one" bytes "1"`,
			`x.tar/a.jpg "two" bytes "2"`,
			`x.tar/E.JPG "three" bytes "3"`,
			`x.tar/b.jpg reject image: b.jpg is a link in the archive, which is not followed`,
			`x.tar/c.jpg reject caption: c.txt is a link in the archive, which is not followed`,
		}, manyItems("clip", 2048)...),
			`x.tar/clip reject sample: 4 files of the sample were left out, want at most 4096 with the same name up to the first dot`,
		)},
		{name: "zip", at: "x.zip", files: fstest.MapFS{"x.zip": {Data: zipOf(t, "in/a.jpg", "A", "in/a.txt", "first", "in/b.jpg", "B", "in/metadata.jsonl", `{"file_name": "b.jpg", "text": "named"}`, "../evil.jpg", "E", "c.png", "C")}}, want: []string{
			`x.zip/in/metadata.jsonl:1 "named" bytes "B"`,
			`x.zip/c.png reject caption: there is no caption: want c.txt, or a line of a metadata.jsonl`,
			`x.zip/evil.jpg reject caption: there is no caption: want evil.txt, or a line of a metadata.jsonl`,
			`x.zip/in/a.jpg "first" bytes "A"`,
		}},
		{name: "zip: names twice, nothing of ours", at: "*.zip", kind: ingest.KindZip, files: fstest.MapFS{
			"a.zip": {Data: zipOf(t, "../a.jpg", "0", "a.jpg", "1", "a.txt", "one", "a.jpg", "2", "b", "a file", "b/", "", "b/", "", "b/c.jpg", "3", `b\c.txt`, "three", "..", "4")},
			"b.zip": {Data: zipOf(t, "x.tar", "T")},
			"c.zip": {Data: zipOf(t)},
		}, want: []string{
			`a.zip/../a.jpg reject archive: the archive has another file named a.jpg`,
			`a.zip/a.jpg reject archive: the archive has another file named a.jpg`,
			`a.zip/b reject archive: b is a file in the archive, and a folder too`,
			`a.zip/.. reject archive: the entry ".." has no name that a file can have`,
			`a.zip/a.jpg "one" bytes "1"`,
			`a.zip/b/c.jpg "three" bytes "3"`,
			`b.zip reject archive: it cannot be read: it holds no image, no caption and no metadata file`,
			`c.zip reject archive: it cannot be read: it holds no image, no caption and no metadata file`,
		}},
		{name: "zip that is none", at: "x.zip", files: fstest.MapFS{"x.zip": file("rubbish")}, want: []string{
			`x.zip reject archive: it cannot be read: zip: not a valid zip file`,
		}},
		{name: "JSONL with paths, addresses, base64 and data URIs", at: "t/x.jsonl", files: fstest.MapFS{"t/x.jsonl": file("\ufeff" + strings.Join([]string{
			`{"prompt": "p1", "image": "img/1.png", "license": "MIT"}`,
			`{"prompt": "p2", "image": "https://example.org/2.jpg?size=1"}`,
			`{"prompt": "p3", "image": "` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("BYTES"), 100)) + `"}`,
			`{"prompt": "p4", "image": "data:image/png;base64,` + base + `"}`,
			`{"prompt": "p5", "image": {"bytes": "` + base + `", "path": "5.png"}}`,
			`{"prompt": "p6", "image": "/etc/passwd"}`,
			`{"prompt": "p7", "image": "../7.png"}`,
			`{"prompt": null, "image": "8.png"}`,
			`{"image": "9.png"}`,
			`{"prompt": "p10", "image": null}`,
			`{"prompt": "p11", "image": "data:image/png,plain"}`,
			``,
			`["no", "object"]`,
		}, "\n"))}, want: []string{
			`t/x.jsonl:1 "p1" file t/img/1.png license MIT`,
			`t/x.jsonl:2 "p2" download https://example.org/2.jpg?size=1 url https://example.org/2.jpg?size=1`,
			`t/x.jsonl:3 "p3" bytes "BYTESBYTESBYTESBYTES"`,
			`t/x.jsonl:4 "p4" bytes "BYTES"`,
			`t/x.jsonl:5 "p5" bytes "BYTES"`,
			"t/x.jsonl:6 reject image: the field image names \"/etc/passwd\", which is not below the folder of the images: set `images` in the configuration to the folder at which the paths begin",
			"t/x.jsonl:7 \"p7\" file 7.png",
			`t/x.jsonl:8 reject caption: the field prompt is empty`,
			`t/x.jsonl:9 reject caption: the field prompt is empty`,
			`t/x.jsonl:10 reject image: the field image is empty`,
			`t/x.jsonl:11 reject image: the field image holds a data URI that is not base64`,
			`t/x.jsonl:13 reject row: it is no JSON object: json: cannot unmarshal array into Go value of type map[string]json.RawMessage`,
		}},
		{name: "CSV", at: "x.csv", files: fstest.MapFS{"x.csv": file("\ufeffURL,TEXT,license\nhttp://a/1.jpg,\"with \"\"quotes\"\", and\na line\",MIT\nhttp://a/2.jpg,short\nhttp://a/3.jpg,three,\nhttp://a/4.jpg,\"bad\" quote,\nhttp://a/5.jpg,five,CC0\n")}, want: []string{
			"x.csv:2 \"with \\\"quotes\\\", and\\na line\" download http://a/1.jpg license MIT url http://a/1.jpg",
			`x.csv:3 reject row: the row has 2 fields and the header has 3`,
			`x.csv:4 "three" download http://a/3.jpg url http://a/3.jpg`,
			`x.csv:5 reject row: the row is no row of a table: parse error on line 6, column 20: extraneous or missing " in quoted-field`,
			`x.csv:6 "five" download http://a/5.jpg license CC0 url http://a/5.jpg`,
		}},
		{name: "TSV, compressed", at: "x.tsv.gz", files: fstest.MapFS{"x.tsv.gz": {Data: gzipped(t, []byte("caption\tfile_name\na \"quoted\" word\t1.png\n"))}}, want: []string{
			`x.tsv.gz:2 "a \"quoted\" word" file 1.png`,
		}},
		{name: "TSV with quotes", at: "x.tsv", files: fstest.MapFS{"x.tsv": file("caption\tfile_name\n\"Hello World\" on a sign\t1.png\n\"a whole \"\"quoted\"\" field\"\t2.png\nno end \"of it\t3.png\nshort\n")}, want: []string{
			`x.tsv:2 "\"Hello World\" on a sign" file 1.png`,
			`x.tsv:3 "a whole \"quoted\" field" file 2.png`,
			`x.tsv:4 "no end \"of it" file 3.png`,
			`x.tsv:5 reject row: the row has 1 fields and the header has 2`,
		}},
		{name: "CSV with a mark and a quoted header", at: "x.csv", files: fstest.MapFS{"x.csv": file("\ufeff\"caption\",\"url\"\n\"a\",\"http://a/1.jpg\"\n\"b,http://a/2.jpg\nc,http://a/3.jpg\n")}, want: []string{
			`x.csv:2 "a" download http://a/1.jpg url http://a/1.jpg`,
			`x.csv:3 reject row: the row is no row of a table: record on line 3; parse error on line 4, column 18: extraneous or missing " in quoted-field; lines 3 to 4 are lost with it`,
		}},
		{name: "JSONL whose rows differ", at: "x.jsonl", files: fstest.MapFS{"x.jsonl": file(`{"alt": "a", "image": "1.png"}
{"text": "b", "image": "2.png", "license": "MIT"}
{"text": "b", "caption": "c", "image": "3.png"}
{"image": "4.png"}
{"caption": ["d", "e"], "image": "5.png"}
{"caption": true, "image": "6.png"}`)}, want: []string{
			"x.jsonl:1 reject row: which field is the caption cannot be told, among alt, image: set `columns.caption` in the configuration",
			`x.jsonl:2 "b" file 2.png license MIT`,
			`x.jsonl:3 "c" file 3.png`,
			`x.jsonl:4 reject caption: the field text is empty`,
			`x.jsonl:5 reject caption: the field caption holds no text, but ["d", "e"]`,
			`x.jsonl:6 reject caption: the field caption holds no text, but true`,
		}},
		{name: "JSON with something after its array", at: "x.json", files: fstest.MapFS{"x.json": file("[{\"prompt\": \"a\", \"image\": \"1.png\"}]\n[1]")}, want: []string{
			`x.json:1 "a" file 1.png`,
			`x.json reject table: it cannot be read, or not to its end: something follows the array: want one array in a file`,
		}},
		{name: "a table without rows beside one that does not fit", at: "*.csv", files: fstest.MapFS{"a.csv": file("caption,image\n"), "b.csv": file("foo,bar\n1,2\n")}, want: []string{
			"b.csv reject fields: which field is the caption cannot be told, among foo, bar: set `columns.caption` in the configuration",
		}},
		{name: "prompts of a folder of Parquet", kind: ingest.KindPrompts, at: "d", files: fstest.MapFS{"d/x.parquet": {Data: readTestdata(t, "huggingface.parquet")}}, want: []string{
			`d/x.parquet:0 "a red square" prompt alone license CC0-1.0`,
			`d/x.parquet:1 "a green square" prompt alone`,
			`d/x.parquet:2 "a blue square" prompt alone license MIT`,
			`d/x.parquet:3 "nothing to see" prompt alone`,
			`d/x.parquet:4 reject caption: the field caption is empty`,
		}},
		{name: "ShareGPT-4o-Image", at: "sg/text_to_image.json", files: fstest.MapFS{"sg/text_to_image.json": file(`[
			{"input_prompt": "a", "output_image": "text_to_image/1.png", "output_image_resolution": [1, 2]},
			{"input_prompt": "b", "output_image": "text_to_image/2.png", "input_image": []},
			{"input_prompt": "edit", "output_image": "3.png", "input_image": ["0.png"]}
		]`)}, want: []string{
			`sg/text_to_image.json:1 "a" file sg/text_to_image/1.png`,
			`sg/text_to_image.json:2 "b" file sg/text_to_image/2.png`,
			`sg/text_to_image.json:3 reject editing: it has an input image in input_image: the output does not answer the prompt alone`,
		}},
		{name: "JSON that breaks off", at: "x.json", files: fstest.MapFS{"x.json": file(`[{"prompt": "a", "image": "1.png"}, {"prompt": "b"`)}, want: []string{
			`x.json:1 "a" file 1.png`,
			`x.json reject table: it cannot be read, or not to its end: element 2: unexpected EOF`,
		}},
		{name: "JSON that is no array", at: "x.json", files: fstest.MapFS{"x.json": file(`{"a": 1}`)}, want: []string{
			`x.json reject table: it cannot be read, or not to its end: want a JSON array of objects: it begins otherwise`,
		}},
		{name: "prompts of a text", at: "p.txt", files: fstest.MapFS{"p.txt": file("a red fox\r\n\n  a blue hare \n")}, want: []string{
			`p.txt:1 "a red fox" prompt alone`,
			`p.txt:3 "  a blue hare " prompt alone`,
		}},
		{name: "prompts of a table", at: "p.csv", kind: ingest.KindPrompts, files: fstest.MapFS{"p.csv": file("id,prompt\n1,a red fox\n")}, want: []string{
			`p.csv:2 "a red fox" prompt alone`,
		}},
		{name: "one file of several does not fit", at: "*.jsonl", kind: ingest.KindTable, files: fstest.MapFS{
			"a.jsonl": file(`{"x": 1}`), "b.jsonl": file(`{"caption": "c", "url": "http://b/1.jpg"}`),
		}, want: []string{
			"a.jsonl reject fields: which field is the caption cannot be told, among x: set `columns.caption` in the configuration",
			`b.jsonl:1 "c" download http://b/1.jpg url http://b/1.jpg`,
		}},
		{name: "columns by name", at: "x.jsonl", o: ingest.Columns{Caption: "deep", Image: "pic", License: "lic", URL: "from"}, files: fstest.MapFS{
			"x.jsonl": file(`{"caption": "no", "deep": "yes", "pic": "1.png", "lic": "MIT", "from": "http://o", "n": 7}`),
		}, want: []string{`x.jsonl:1 "yes" file 1.png license MIT url http://o`}},
		{name: "Parquet, Hugging Face's struct", at: "huggingface.parquet", files: testdataFS(t, "huggingface.parquet"), want: []string{
			`huggingface.parquet:0 "a red square" bytes "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00@" license CC0-1.0`,
			`huggingface.parquet:1 "a green square" bytes "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"`,
			`huggingface.parquet:2 "a blue square" bytes "RIFFN\x00\x00\x00WEBPVP8 B\x00\x00\x00" license MIT`,
			`huggingface.parquet:3 reject image: the field image is empty`,
			`huggingface.parquet:4 reject caption: the field caption is empty`,
		}},
		{name: "Parquet, bare bytes", at: "binary.parquet", files: testdataFS(t, "binary.parquet"), want: []string{
			`binary.parquet:0 "green" bytes "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"`,
			`binary.parquet:1 "blue" bytes "RIFFN\x00\x00\x00WEBPVP8 B\x00\x00\x00"`,
			`binary.parquet:2 "broken" bytes "no image"`,
			`binary.parquet:3 reject image: the field jpg is empty`,
		}},
		{name: "Parquet, paths and addresses", at: "path.parquet", o: ingest.Columns{Caption: "b"}, files: testdataFS(t, "path.parquet"), want: []string{
			`path.parquet:0 "y" file 1.png`,
			`path.parquet:1 "z" download http://x/2.png url http://x/2.png`,
		}},
		{name: "Parquet, text as bare bytes", at: "spark.parquet", files: testdataFS(t, "spark.parquet"), want: []string{
			`spark.parquet:0 "a red square" bytes "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00@" license MIT url http://x/1`,
			`spark.parquet:1 reject caption: the field caption is empty`,
		}},
		{name: "Parquet that breaks off, Parquet that is none", at: "*.parquet", kind: ingest.KindParquet, files: fstest.MapFS{"a.parquet": file("rubbish"), "b.parquet": {Data: readTestdata(t, "unknown-codec.parquet")}}, want: []string{
			`a.parquet reject table: it cannot be read, or not to its end: parquet: it is no Parquet file, or its footer is damaged: parquet: file too small (size=7)`,
			`b.parquet:0 reject row: the row cannot be read: parquet: open row group 0: parquet: unable to initialize page reader: compression for LZ4_RAW unimplemented`,
			`b.parquet:1 reject row: the row cannot be read: parquet: open row group 0: parquet: unable to initialize page reader: compression for LZ4_RAW unimplemented`,
		}},
		{name: "img2dataset, tar", at: "out", files: fstest.MapFS{
			"out/00000.tar":     {Data: tarOf(t, "000000000.jpg", "A", "000000000.txt", "first", "000000000.json", `{"url": "http://i/0", "status": "success"}`)},
			"out/00000.parquet": {Data: readTestdata(t, "img2dataset.parquet")}, "out/00000_stats.json": file("{}"),
		}, want: []string{
			`out/00000.tar/000000000.jpg "first" bytes "A" url http://i/0`,
			`out/00000.parquet:2 reject download: img2dataset did not get it: failed_to_download: HTTP Error 404: Not Found`,
		}},
		{name: "img2dataset, cut off", at: "out", files: fstest.MapFS{
			"out/00000.tar": {Data: tarOf(t, "000000000.jpg", "A", "000000000.txt", "first")}, "out/00000_stats.json": file("{}"),
			"out/00001/000010000.jpg": file("B"), "out/00001/000010000.txt": file("second"),
			"out/00002_stats.json": file("{}"), "out/_tmp/x.jpg": file("X"), "out/7": file("no folder"),
		}, want: []string{
			`out/00000.tar/000000000.jpg "first" bytes "A"`,
			`out/00001/000010000.jpg caption in out/00001/000010000.txt file out/00001/000010000.jpg`,
			`out/00002 reject archive: the shard has neither images nor metadata: was its download cut off?`,
		}},
		{name: "img2dataset, files", at: "out", files: fstest.MapFS{
			"out/00000/000000000.jpg": file("A"), "out/00000/000000000.txt": file("first"), "out/00000/000000000.json": file(`{}`),
			"out/00000.parquet": {Data: readTestdata(t, "img2dataset.parquet")}, "out/00000_stats.json": file("{}"),
		}, want: []string{
			`out/00000/000000000.jpg caption in out/00000/000000000.txt file out/00000/000000000.jpg`,
			`out/00000.parquet:2 reject download: img2dataset did not get it: failed_to_download: HTTP Error 404: Not Found`,
		}},
	}
}

// TestSources reads every form of source.
func TestSources(t *testing.T) {
	for _, c := range sourceCases(t) {
		t.Run(c.name, func(t *testing.T) {
			l := ingest.Location{FS: c.files, Pattern: c.at}
			if c.kind == "" {
				var err error
				if c.kind, err = ingest.Detect(l); err != nil {
					t.Fatal(err)
				}
			}
			source, err := ingest.New(c.kind, "s", l, c.o, ingest.File{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := items(t, source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func testdataFS(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{name: {Data: readTestdata(t, name)}}
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSourcesThatDoNotFit: a configuration that fits nothing is an error that
// names what is there and what to set.
func TestSourcesThatDoNotFit(t *testing.T) {
	for want, c := range map[string]struct {
		kind  ingest.Kind
		files fs.FS
		at    string
		o     ingest.Columns
	}{
		`no file is named "*.tar": mend the path`:                                             {ingest.KindWebDataset, fstest.MapFS{"x.txt": file("")}, "*.tar", ingest.Columns{}},
		`no file is named "1.tar", which "{0..1}.tar" stands for`:                             {ingest.KindWebDataset, fstest.MapFS{"0.tar": file("")}, "{0..1}.tar", ingest.Columns{}},
		`a brace is not closed`:                                                               {ingest.KindWebDataset, fstest.MapFS{}, "{0..1.tar", ingest.Columns{}},
		`"[" is no pattern of file names`:                                                     {ingest.KindWebDataset, fstest.MapFS{}, "[", ingest.Columns{}},
		"which field is the image cannot be told, among a, prompt: set `columns.image`":       {ingest.KindTable, fstest.MapFS{"x.jsonl": file(`{"prompt": "p", "a": "b"}`)}, "x.jsonl", ingest.Columns{}},
		"there is no field \"title\" for the caption, only a, prompt: mend `columns.caption`": {ingest.KindTable, fstest.MapFS{"x.jsonl": file(`{"prompt": "p", "a": "b"}`)}, "x.jsonl", ingest.Columns{Caption: "title"}},
		"which field is the caption cannot be told, among image, a, b: set `columns.caption`": {ingest.KindParquet, os.DirFS("testdata"), "path.parquet", ingest.Columns{}},
		"there is no field \"title\" for the caption, only id, caption, licence, image: mend": {ingest.KindParquet, os.DirFS("testdata"), "huggingface.parquet", ingest.Columns{Caption: "title"}},
		`out holds no shards, such as 00000.tar`:                                              {ingest.KindImg2dataset, fstest.MapFS{"out/x": file("")}, "out", ingest.Columns{}},
		`read the folder`:                                                                     {ingest.KindFolder, fstest.MapFS{}, "absent", ingest.Columns{}},
	} {
		source, err := ingest.New(c.kind, "s", ingest.Location{FS: c.files, Pattern: c.at}, c.o, ingest.File{})
		if err == nil {
			_, err = items(t, source)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files []string
		at    string
		want  ingest.Kind
	}{
		{[]string{"a.jpg", "a.txt"}, ".", ingest.KindFolder},
		{[]string{"a.jpg", "metadata.jsonl"}, ".", ingest.KindFolder},
		{[]string{"deep/00.tar", "deep/01.tar"}, "deep", ingest.KindWebDataset},
		{[]string{"00000.tar", "00000.parquet", "00000_stats.json"}, ".", ingest.KindImg2dataset},
		{[]string{"train-0.parquet", "README.md"}, ".", ingest.KindParquet},
		{[]string{"a.zip"}, ".", ingest.KindZip},
		{[]string{"a.jsonl"}, ".", ingest.KindTable},
		{[]string{"a.jsonl"}, "a.jsonl", ingest.KindTable},
		{[]string{"p.txt"}, "p.txt", ingest.KindPrompts},
		{[]string{"x/0.tar"}, "x/*.tar", ingest.KindWebDataset},
		{[]string{"x/0.tar.zst"}, "x/{0..9}.tar.zst", ingest.KindWebDataset},
		{[]string{"x/0.tar", "x/1.tar.gz"}, "x/?.tar*", ingest.KindWebDataset},
	} {
		fsys := fstest.MapFS{}
		for _, name := range c.files {
			fsys[name] = file("x")
		}
		if got, err := ingest.Detect(ingest.Location{FS: fsys, Pattern: c.at}); err != nil || got != c.want {
			t.Errorf("%v at %s: got %q, %v, want %q", c.files, c.at, got, err, c.want)
		}
	}
	mixed := ingest.Location{FS: fstest.MapFS{"a.jpg": file("x"), "a.txt": file("x"), "backup.parquet": file("x")}, Pattern: "."}
	if _, err := ingest.Detect(mixed); err == nil || !strings.Contains(err.Error(), "holds images, such as a.jpg, and archives, such as backup.parquet: set `kind`") {
		t.Errorf("got %v", err)
	}
	for want, at := range map[string]string{"there is no file or folder absent": "absent", "what x.bin holds cannot be told from its name: set `kind`": "x.bin"} {
		if _, err := ingest.Detect(ingest.Location{FS: fstest.MapFS{"x.bin": file("")}, Pattern: at}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

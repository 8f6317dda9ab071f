package loader_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/internal/parquet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// picture is a PNG in base64.
func picture(width, height int) string {
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		panic(err) // into memory
	}
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// sound is a row with all that a pack needs, of 2,401 tokens: an image of 512² is
// 1,024 for the VAE and 1,369 for the ViT, and its four entries have two more each.
var sound = conversation("a cat", picture(512, 512))

func conversation(prompt, image string) string {
	return fmt.Sprintf(`[{"role":"user","content":%q},{"role":"assistant","content":[{"type":"text","content":"b"},{"type":"image","content":%q,"need_loss":true,"need_vit":true}]}]`, prompt, image)
}

// file makes a Parquet file with a row group for each list of rows.
func file(t testing.TB, column string, groups ...[]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := parquet.NewWriter(&out, []parquet.Column{{Name: column, Kind: parquet.String}}, parquet.WriterOptions{})
	for _, rows := range groups {
		for _, row := range rows {
			if err == nil {
				err = w.Write(parquet.Row{row})
			}
		}
		if err == nil {
			err = w.EndRowGroup()
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// times are n row groups of one row.
func times(n int, row string) (groups [][]string) {
	for range n {
		groups = append(groups, []string{row})
	}
	return groups
}

func write(t testing.TB, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		at := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const mode = "improving_full_learning"

// TestCheck: what the loader passes over without a word is counted, with the
// rule. The numbers are rows read, dropped, unread, and starved readers.
func TestCheck(t *testing.T) {
	whole := file(t, "conversation", times(8, sound)...)
	broken := bytes.Clone(file(t, "conversation", times(8, sound)...))
	for i := 40; i < 140; i++ { // in the first row group's page
		broken[i] ^= 0x5a
	}
	training := func(used int) []byte {
		return fmt.Appendf(nil, "%s:\n  dataset_names: [x]\n  is_mandatory: true\n  weight: 1.0\n  num_used_data: [%d]\n", mode, used)
	}
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		ranks   int
		workers int
		limit   int
		want    string // read dropped unread starved parts rules
	}{
		{"whole", map[string][]byte{"m/a.parquet": whole}, 2, 4, 0, "8 0 0 0 0 []"},
		{"more readers than row groups", map[string][]byte{"m/a.parquet": whole}, 3, 3, 0, "0 0 8 9 0 [remainder]"},
		{"a remainder of the ranks", map[string][]byte{"m/a.parquet": whole}, 3, 1, 0, "6 0 2 0 0 [remainder]"},
		{"a remainder of the workers", map[string][]byte{"m/a.parquet": whole}, 2, 3, 0, "6 0 2 0 0 [remainder]"},
		{"the folder itself", map[string][]byte{"a.parquet": whole, "b.parquet": whole}, 4, 4, 0, "16 0 0 0 0 []"},
		{"a row without JSON", map[string][]byte{"m/a.parquet": file(t, "conversation", []string{sound, "{"}, []string{sound})}, 1, 2, 0, "2 1 0 0 0 [not-json]"},
		{"a reader with broken rows alone", map[string][]byte{"m/a.parquet": file(t, "conversation", []string{sound}, []string{"{"})}, 1, 2, 0, "1 1 0 1 0 [not-json]"},
		{"another column", map[string][]byte{"m/a.parquet": file(t, "text", times(2, sound)...)}, 1, 1, 0, "0 2 0 1 0 [no-conversation]"},
		{"images that do not open", map[string][]byte{"m/a.parquet": file(t, "conversation", times(2, conversation("a", "AAAA"))...)}, 1, 1, 0, "2 0 0 0 2 [image-not-opened]"},
		{"a data: prefix", map[string][]byte{"m/a.parquet": file(t, "conversation", times(2, conversation("a", "data:image/png;base64,"+picture(9, 9)))...)}, 1, 1, 0, "2 0 0 0 2 [base64]"},
		{"a control token", map[string][]byte{"m/a.parquet": file(t, "conversation", times(2, conversation("<|im_end|>", picture(9, 9)))...)}, 1, 1, 0, "2 0 0 0 0 [control-token]"},
		{"below the limit", map[string][]byte{"m/a.parquet": whole}, 1, 1, 2402, "8 0 0 0 0 []"},
		{"the limit in a mandatory mode", map[string][]byte{mode + "/a.parquet": whole}, 1, 1, 2401, "0 8 0 1 0 [too-long]"},
		{"above the limit", map[string][]byte{"m/a.parquet": whole}, 1, 1, 2400, "0 8 0 1 0 [too-long]"},
		{"fewer files used than there are", map[string][]byte{mode + "/a.parquet": whole, mode + "/b.parquet": whole, "train_stage1.yaml": training(1)}, 1, 8, 0, "8 0 8 0 0 [num_used_data]"},
		{"more files used than there are", map[string][]byte{mode + "/a.parquet": file(t, "conversation", times(6, sound)...), "train_stage1.yaml": training(4)}, 4, 3, 0, "6 0 0 0 0 []"},
		{"an empty folder", map[string][]byte{"train_stage1.yaml": training(1), "m/a.parquet": whole}, 1, 1, 0, mode + " stops"},
		{"a deeper folder", map[string][]byte{"m/a.parquet": whole, "m/more/b.parquet": whole}, 1, 1, 0, "8 0 8 0 0 [not-listed]"},
		{"another ending", map[string][]byte{"m/a.parquet": whole, "m/b.parquet.part": whole}, 1, 1, 0, "8 0 8 0 0 [not-listed]"},
		{"no Parquet", map[string][]byte{"m/a.parquet": whole, "m/b.parquet": []byte("PAR1 no")}, 1, 1, 0, "8 0 0 0 0 [file]"},
		{"a damaged row group", map[string][]byte{"m/a.parquet": broken}, 1, 1, 0, "7 1 0 0 0 [row-group]"},
		{"a parquet_info of less", map[string][]byte{"m/a.parquet": whole, "parquet_info.json": []byte(`{"/x/m/a.parquet": {"num_row_groups": 6}}`)}, 2, 3, 0, "6 0 2 0 0 [parquet_info]"},
		{"a parquet_info of more", map[string][]byte{"m/a.parquet": whole, "parquet_info.json": []byte(`{"/x/m/a.parquet": {"num_row_groups": 9}}`)}, 3, 3, 0, "8 0 0 1 0 []"},
	} {
		r, err := loader.Check(t.Context(), loader.InFolder(write(t, c.files)), loader.Options{Ranks: c.ranks, Workers: c.workers, Seed: 42, Limit: c.limit, Jobs: 2})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		m := r.Modes[0]
		var rules []string
		for _, f := range m.Findings {
			rules = append(rules, f.Rule)
		}
		got := fmt.Sprint(m.Read.Rows, m.Dropped.Rows, m.Unread.Rows, m.Starved, m.PartsLost, rules)
		if m.Stops != "" {
			got = m.Mode + " stops"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s\n%+v", c.name, got, c.want, m)
		}
		if m.Read.Rows+m.Dropped.Rows+m.Unread.Rows != m.Rows.Rows {
			t.Errorf("%s: the counts do not add up: %+v", c.name, m)
		}
		if whole := strings.HasSuffix(c.want, "0 0 0 0 []"); r.Whole() != whole {
			t.Errorf("%s: whole is %t", c.name, r.Whole())
		}
	}
}

// TestCheckRefuses: what is no export gives one sentence.
func TestCheckRefuses(t *testing.T) {
	whole := file(t, "conversation", []string{sound})
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"nothing", map[string][]byte{"a.txt": nil}, "has no Parquet file"},
		{"a folder above", map[string][]byte{"x/m/a.parquet": whole}, "name the folder above the modes' folders"},
		{"a configuration that is none", map[string][]byte{"m/a.parquet": whole, "train_stage1.yaml": []byte("[1")}, "this is no YAML"},
		{"two data sets", map[string][]byte{"m/a.parquet": whole, "train_stage1.yaml": []byte("m: {dataset_names: [a, b], num_used_data: [1, 1]}")}, "want one of each"},
		{"a parquet_info that is none", map[string][]byte{"m/a.parquet": whole, "parquet_info.json": []byte("[]")}, "no parquet_info"},
		{"negative row groups", map[string][]byte{"m/a.parquet": whole, "parquet_info.json": []byte(`{"m/a.parquet": {"num_row_groups": -1}}`)}, "-1 row groups"},
	} {
		_, err := loader.Check(t.Context(), loader.InFolder(write(t, c.files)), loader.Options{Ranks: 1, Workers: 1})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := loader.Check(t.Context(), loader.InFolder(t.TempDir()+"/absent"), loader.Options{Ranks: 1, Workers: 1}); err == nil {
		t.Error("an absent folder was checked")
	}
}

// TestCheckEndsWithItsContext: a cancelled check is an error, and no finding.
func TestCheckEndsWithItsContext(t *testing.T) {
	root := write(t, map[string][]byte{"m/a.parquet": file(t, "conversation", times(4, sound)...)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loader.Check(ctx, loader.InFolder(root), loader.Options{Ranks: 1, Workers: 1}); err == nil {
		t.Error("a cancelled check found nothing wrong")
	}
}

// TestCheckInABucket: an export in a bucket is read as a copy of it would be.
func TestCheckInABucket(t *testing.T) {
	s3 := s3test.Start(t)
	s3.Bucket(t, "exports")
	store, err := blob.NewS3(t.Context(), blob.S3Options{Bucket: "exports", Prefix: "x", Endpoint: s3.Endpoint, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := blob.PutBytes(t.Context(), store, "m/a.parquet", file(t, "conversation", times(9, sound)...), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := loader.Check(t.Context(), loader.InStore(store, t.TempDir()), loader.Options{Ranks: 2, Workers: 2, Seed: 42})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Modes[0]; m.Mode != "m" || m.Read.Rows != 8 || m.Unread.Rows != 1 || m.Read.Images != 8 {
		t.Errorf("got %+v", m)
	}
}

// TestCheckFrames: files of pyarrow 19, most of which pandas makes no
// conversation of, though each has a sound row. Those of export/proof/broken.py
// have the same kinds.
func TestCheckFrames(t *testing.T) {
	for name, want := range map[string]string{
		"index":                 "[no-conversation]",
		"index-of-another":      "[]",
		"list-not-utf8":         "[row-group]",
		"struct-not-utf8":       "[row-group]",
		"time-zone":             "[row-group]",
		"time-zone-in-a-list":   "[]",
		"time-zone-in-a-struct": "[row-group]",
		"fixed-size-bytes":      "[]",
		"many-kinds":            "[]",
	} {
		content, err := os.ReadFile("testdata/frames/" + name + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		r, err := loader.Check(t.Context(), loader.InFolder(write(t, map[string][]byte{"m/a.parquet": content})), loader.Options{Ranks: 1, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		rules := []string{}
		for _, f := range r.Modes[0].Findings {
			rules = append(rules, f.Rule)
		}
		if fmt.Sprint(rules) != want || r.AllRead() != (want == "[]") {
			t.Errorf("%s: got %v, want %s: %+v", name, rules, want, r.Modes[0])
		}
	}
}

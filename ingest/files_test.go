package ingest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/ingest"
)

// shut is a file system whose archives cannot be opened.
type shut struct {
	fstest.MapFS
	err error // nil: they can
}

func (s *shut) Open(name string) (fs.File, error) {
	if s.err != nil && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: s.err}
	}
	return s.MapFS.Open(name)
}

func someArchives(t testing.TB) fstest.MapFS {
	files := []string{"a.png", string(fixture(t, "rgb.png")), "a.txt", "a dog"}
	return fstest.MapFS{"a.tar": {Data: tarOf(t, files...)}, "a.zip": {Data: zipOf(t, files...)}, "a.parquet": {Data: readTestdata(t, "huggingface.parquet")}}
}

var archiveKinds = map[string]ingest.Kind{"a.tar": ingest.KindWebDataset, "a.zip": ingest.KindZip, "a.parquet": ingest.KindParquet}

func archiveFeed(t testing.TB, fsys fs.FS, name string) ingest.Feed {
	t.Helper()
	source, err := ingest.New(archiveKinds[filepath.Base(name)], "s", ingest.Location{FS: fsys, Pattern: name}, ingest.Columns{}, ingest.File{})
	if err != nil {
		t.Fatal(err)
	}
	return ingest.Feed{Source: source}
}

// TestArchiveThatCannotBeOpened: it is a reject that is tried again by the next
// run. A bucket out of reach, which says so in words of its own, ends the run.
func TestArchiveThatCannotBeOpened(t *testing.T) {
	for name := range archiveKinds {
		t.Run(name, func(t *testing.T) {
			fsys := &shut{MapFS: someArchives(t), err: syscall.EACCES}
			r, feed := newReader(t, defaults()), archiveFeed(t, fsys, name)
			items, err := r.open(t.Context(), feed)
			if err != nil || len(items) != 1 || !strings.Contains(told(items[0]), "open "+name+": permission denied") {
				t.Errorf("got %v, %v", items, err)
			}
			fsys.err = &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
			if items, err := r.open(t.Context(), feed); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v, %v", items, err)
			}
			fsys.err = nil
			if items, err = r.open(t.Context(), feed); err != nil || items[0].Reject != nil && items[0].Reject.Rule != "extension" && items[0].Reject.Rule != "size" {
				t.Errorf("got %v, %v", items, err)
			}
		})
	}
}

// TestPipes: what is no file is never opened.
func TestPipes(t *testing.T) {
	for name := range archiveKinds {
		dir := t.TempDir()
		makePipe(t, filepath.Join(dir, name))
		items, err := newReader(t, defaults()).open(t.Context(), archiveFeed(t, os.DirFS(dir), name))
		if err != nil || len(items) != 1 || !strings.HasSuffix(told(items[0]), name+" is no regular file") {
			t.Errorf("got %v, %v", items, err)
		}
	}
}

// TestPipeOfTable: nor is it among tables.
func TestPipeOfTable(t *testing.T) {
	dir := t.TempDir()
	makePipe(t, filepath.Join(dir, "a.jsonl"))
	if err := os.WriteFile(filepath.Join(dir, "b.jsonl"), []byte(`{"caption": "c", "image": "1.png"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := items(t, ingest.NewTable("s", ingest.Location{FS: os.DirFS(dir), Pattern: "."}, ingest.TableOptions{}))
	want := []string{"a.jsonl reject table: it cannot be read, or not to its end: a.jsonl is no regular file", `b.jsonl:1 "c" file 1.png`}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// TestPipeOfMetadata: nor is it in a folder.
func TestPipeOfMetadata(t *testing.T) {
	dir := t.TempDir()
	makePipe(t, filepath.Join(dir, "metadata.jsonl"))
	got, err := items(t, ingest.NewFolder("s", os.DirFS(dir), ".", ingest.Columns{}))
	if diff := cmp.Diff([]string{"metadata.jsonl reject metadata: metadata.jsonl is no regular file"}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// TestLinks: a folder of links, as Hugging Face's cache is one, is read as if
// the files were there, and again when they change.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(name string) {
		t.Helper()
		if err := os.Symlink("../"+name+".blob", filepath.Join(dir, "data", name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+".blob"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link("a.zip")
	link("a.tar")
	link("gone.tar")
	write("a.zip", zipOf(t, "a.jpg", "A", "a.txt", "first"))
	write("a.tar", tarOf(t, "a.jpg", "A", "a.txt", "first"))
	read := func(kind ingest.Kind) (lines []string, versions []string) {
		t.Helper()
		source, err := ingest.New(kind, "s", ingest.Location{FS: os.DirFS(dir), Pattern: "data"}, ingest.Columns{}, ingest.File{})
		if err != nil {
			t.Fatal(err)
		}
		for unit, err := range source.Units(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			versions = append(versions, unit.Version.String())
			for raw, err := range unit.Items {
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, describe(raw))
			}
		}
		return lines, versions
	}
	lines, _ := read(ingest.KindZip)
	if diff := cmp.Diff([]string{`data/a.zip/a.jpg "first" bytes "A"`}, lines); diff != "" {
		t.Error(diff)
	}
	lines, before := read(ingest.KindWebDataset)
	if diff := cmp.Diff([]string{`data/a.tar/a.jpg "first" bytes "A"`, `data/gone.tar reject archive: stat data/gone.tar: no such file or directory`}, lines); diff != "" {
		t.Error(diff)
	}
	write("a.tar", tarOf(t, "a.jpg", "A", "a.txt", "first", "b.jpg", "B", "b.txt", "second"))
	if lines, after := read(ingest.KindWebDataset); after[0] == before[0] || len(lines) != 3 {
		t.Errorf("got %v: the link's target has changed", lines)
	}
}

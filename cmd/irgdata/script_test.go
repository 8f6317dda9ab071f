package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
)

// TestScripts runs the command as its users do; the scripts read like a
// manual.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command that must end with this very code, as in `exits 3 irgdata
// export check DIR`.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// TestRealPhotos builds from JPEG, PNG and WebP photos with models behind a
// server, into a folder and into a bucket.
func TestRealPhotos(t *testing.T) {
	models := newModelServer(t)
	s3 := s3test.Start(t)
	s3.Bucket(t, "irgl")
	photos := photoFolder(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/photos",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
			},
			"upload": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(upload(t.Context(), ts.MkAbs(args[0]), args[1], S3{Endpoint: s3.Endpoint, PathStyle: true}))
			},
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("MODELS", models.URL)
			e.Setenv("S3", s3.Endpoint)
			e.Setenv("PHOTOS", photos)
			e.Setenv("OTHER", testPhoto(t, "gopher-doc.8bpp.lossless.webp"))
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"} {
				e.Setenv(name, os.Getenv(name))
			}
			return nil
		},
	})
}

// upload copies the files of a folder into a bucket.
func upload(ctx context.Context, dir, address string, s3 S3) error {
	store, err := openBucket(ctx, address, s3)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return blob.PutBytes(ctx, store, filepath.ToSlash(name), content, blob.PutOptions{})
	})
}

// testPhoto is the path of a test photo of golang.org/x/image.
func testPhoto(t *testing.T, name string) string {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/image").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(module)), "testdata", name)
}

// photoFolder copies the test photos of golang.org/x/image, which every
// machine that builds this module has, and gives them captions in both forms.
func photoFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range []struct{ name, caption string }{
		{"go-turns-two-280x360.jpeg", "a small mascot in front of a cake"},
		{"video-001.png", "a portrait of a woman in warm light"},
		{"blue-purple-pink-large.png", "blue, purple and pink light that blends"},
		{"yellow_rose.lossy.webp", "a yellow rose in front of dark leaves"},
		{"tux.lossless.webp", "a penguin sits and smiles"},
	} {
		content, err := os.ReadFile(testPhoto(t, p.name))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, p.name)
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		caption := strings.TrimSuffix(name, filepath.Ext(name)) + ".txt"
		if err := os.WriteFile(caption, []byte(p.caption+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

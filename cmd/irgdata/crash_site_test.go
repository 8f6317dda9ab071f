package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/s3test"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// siteConfig builds small pairs with models behind a server, with shards and
// row groups so small that disturbances hit their writing too.
const siteConfig = `
sources: [{name: pairs, path: %s}]
store: %s
s3: {endpoint: %q, path_style: true}
work: work
image: {width: 64, height: 64}
models: {irg: {kind: omni, url: "%s/v1", revision: "1"}, vlm: {kind: openai, url: "%s/v1", revision: "1"}}
roles: {base: irg, annotator: vlm}
ingest: {duplicates: {images: 0, prompts: 0}}
filter: {rules: [{rule: coverage, min: 0}]}
calls: {workers: 4, share: 50ms, hold: 1m}
shards: {size: 16 KiB, row_group: 4 KiB}
export: {to: export, ranks: 2, workers: 2}
`

// site is a folder in which one dataset is built, by processes of the command,
// from pairs and models that are the same for all sites of a test.
type site struct {
	dir    string
	pairs  string
	models *modelServer
	server *s3test.Server // nil: the store is a folder of dir
	bucket string
	// undisturbed is a site whose build was left alone.
	undisturbed *site
	calls       int      // fewer than a build makes
	last        *process // the build begun last
	// finished are the answers that the ledger held when the last build began.
	finished map[string]bool
	// modest makes processes bow to the modes of files, which root does not.
	modest bool
}

// newSite makes a site over a folder of pairs, with its store in a new bucket of
// server unless that is nil.
func newSite(t *testing.T, pairs string, server *s3test.Server) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), pairs: pairs, models: newModelServer(t), server: server}
	if server != nil {
		bucket, err := os.MkdirTemp(server.Dir, "irgl-")
		if err != nil {
			t.Fatal(err)
		}
		s.bucket = filepath.Base(bucket)
		s.configure(t, server.Endpoint)
	} else {
		s.configure(t, "")
	}
	return s
}

// beside makes another site of the same dataset: another machine with a work
// folder of its own.
func (s *site) beside(t *testing.T) *site {
	t.Helper()
	other := *s
	other.dir, other.last = t.TempDir(), nil
	if s.server == nil {
		store := filepath.Join(s.dir, "store")
		err := os.MkdirAll(store, 0o755)
		if err == nil {
			err = os.Symlink(store, filepath.Join(other.dir, "store"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other.configure(t, s.endpoint())
	return &other
}

// copied makes a copy of a site and its store, without exports, which name their
// folder. Both have the same models.
func (s *site) copied(t *testing.T) *site {
	t.Helper()
	c := newSite(t, s.pairs, s.server)
	c.models = s.models
	c.configure(t, s.endpoint())
	for _, folder := range []string{"work", "store"} {
		if folder == "store" && s.server != nil {
			continue
		}
		if err := os.CopyFS(filepath.Join(c.dir, folder), os.DirFS(filepath.Join(s.dir, folder))); err != nil {
			t.Fatal(err)
		}
	}
	if s.server != nil {
		store := c.store(t)
		for key, content := range s.objects(t, "") {
			if err := blob.PutBytes(t.Context(), store, key, []byte(content), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

func (s *site) endpoint() string {
	if s.server == nil {
		return ""
	}
	return s.server.Endpoint
}

// configure writes the configuration, with edits to it as pairs of old and new
// text.
func (s *site) configure(t *testing.T, endpoint string, edits ...string) {
	t.Helper()
	store := "store"
	if s.server != nil {
		store = "s3://" + s.bucket + "/shared"
	}
	text := fmt.Sprintf(siteConfig, s.pairs, store, endpoint, s.models.URL, s.models.URL)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("no %q in the configuration", edits[i])
		}
	}
	text = strings.NewReplacer(edits...).Replace(text)
	if err := os.WriteFile(filepath.Join(s.dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// store opens the site's store past all that disturbs it.
func (s *site) store(t *testing.T) blob.Store {
	t.Helper()
	var store blob.Store
	var err error
	if s.server == nil {
		store, err = blob.NewFile(filepath.Join(s.dir, "store"))
	} else {
		store, err = openBucket(t.Context(), "s3://"+s.bucket+"/shared", S3{Endpoint: s.server.Endpoint, PathStyle: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// command is the command in the site, as a process that ctx kills. All that it
// writes is in the site.
func (s *site) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "irgdata", args...)
	if s.modest && os.Geteuid() == 0 {
		cmd = exec.CommandContext(ctx, "setpriv", append([]string{"--bounding-set=-all", "--inh-caps=-all", "irgdata"}, args...)...)
	}
	cmd.Dir = s.dir
	cmd.Env = append(cmd.Environ(), "TMPDIR="+s.dir)
	return cmd
}

// must runs the command to its good end and returns what it says.
func (s *site) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// process is a build under way.
type process struct {
	*exec.Cmd
	said  *transcript
	ended chan struct{}
}

// start begins a build and notes what is finished already.
func (s *site) start(t *testing.T, args ...string) *process {
	t.Helper()
	s.finished = s.answers(t)
	s.models.forget()
	p := &process{Cmd: s.command(t.Context(), append([]string{"build"}, args...)...), said: newTranscript(), ended: make(chan struct{})}
	p.Stdout, p.Stderr = p.said, p.said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s.last = p
	go func() {
		defer close(p.ended)
		_ = p.Wait() // the exit code tells
		p.said.end()
	}()
	return p
}

// wait waits for the end of the process and returns its exit code, -1 for a
// signal.
func (p *process) wait() int {
	<-p.ended
	return p.ProcessState.ExitCode()
}

// check fails the test if a call that was finished when the last build began was
// made again, if an object that is visible is not whole, or if half an export is.
func (s *site) check(t *testing.T) {
	t.Helper()
	for answer, times := range s.models.asked() {
		if s.finished[answer] {
			t.Errorf("a finished call was made again (%d times): %.200s", times, answer)
		}
	}
	store := s.store(t)
	if _, err := manifests.Identity(t.Context(), store); !errors.Is(err, blob.ErrNotExist) {
		report, err := manifests.Verify(t.Context(), store, manifests.Snapshot{}, manifests.VerifyOptions{Full: true, Work: t.TempDir(), Workers: 2})
		if err != nil {
			t.Errorf("verify: %v", err)
		}
		for _, p := range report.Problems {
			t.Errorf("what is visible is damaged: %s", p)
		}
	}
	exports, err := filepath.Glob(filepath.Join(s.dir, "export", "snapshot-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, export := range exports {
		if _, err := os.Stat(filepath.Join(export, "export.json")); err != nil {
			t.Errorf("half an export is visible: %v", err)
		}
	}
}

// kept fails the test if an answer that the models gave is not in the ledger.
func (s *site) kept(t *testing.T) {
	t.Helper()
	recorded := s.answers(t)
	for answer, times := range s.models.asked() {
		if !recorded[answer] {
			t.Errorf("a paid answer is lost: %.100s", answer)
		}
		if times > 1 {
			t.Errorf("a call was made %d times: %.100s", times, answer)
		}
	}
}

// finish builds to the end and checks what that has left.
func (s *site) finish(t *testing.T) {
	t.Helper()
	p := s.start(t)
	if code := p.wait(); code != exitDone {
		t.Fatalf("the next build ended with code %d:\n%s", code, p.said.text())
	}
	s.ended(t)
}

// ended checks what a build has left that came to its end: what an undisturbed
// build published, byte for byte, and nothing temporary.
func (s *site) ended(t *testing.T) {
	t.Helper()
	s.check(t)
	s.compare(t, s.undisturbed)
	if left := temporaryFiles(t, s.dir); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	if s.server != nil {
		if left := s.server.Uploads(t, s.bucket); len(left) > 0 {
			t.Errorf("unfinished uploads are left: %v", left)
		}
	}
}

// compare compares what two sites published, byte for byte.
func (s *site) compare(t *testing.T, want *site) {
	t.Helper()
	for _, folder := range []string{"manifests/", "shards/", "rejects/", "members/"} {
		comparePublished(t, folder, s.objects(t, folder), want.objects(t, folder))
	}
	comparePublished(t, "export", published(t, s.dir, "export"), published(t, want.dir, "export"))
}

// objects reads the objects under a prefix of the store.
func (s *site) objects(t *testing.T, prefix string) map[string]string {
	t.Helper()
	objects := map[string]string{}
	store := s.store(t)
	for o, err := range store.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		content, err := blob.ReadAll(t.Context(), store, o.Key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		objects[o.Key] = string(content)
	}
	return objects
}

func comparePublished(t *testing.T, part string, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s %s differs from that of an undisturbed build", part, name)
		}
	}
	if len(got) != len(want) || len(want) == 0 && part != "rejects/" {
		t.Errorf("%s: %d files, want %d", part, len(got), len(want))
	}
}

// published reads the files of a folder. The folder's own path, which training
// configurations name, is left out of them.
func published(t *testing.T, dir, part string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := filepath.Join(dir, part)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".irgdata-tmp-") {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[name] = strings.ReplaceAll(string(content), dir, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// temporaryFiles are those that no finished run leaves.
func temporaryFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(d.Name(), ".irgdata-tmp-") || strings.HasPrefix(d.Name(), ".partial-")) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// answers are those of the calls in the site's ledger, as its model server knows
// them.
func (s *site) answers(t *testing.T) map[string]bool {
	t.Helper()
	answers := map[string]bool{}
	ledgers, err := filepath.Glob(filepath.Join(s.dir, "work", "ledger-*.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range ledgers {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var tables int
		if err := db.QueryRow(`SELECT count(*) FROM sqlite_master WHERE name = 'calls'`).Scan(&tables); err != nil {
			t.Fatal(err)
		}
		if tables == 0 {
			continue // killed before the ledger was made
		}
		rows, err := db.Query(`SELECT text, image FROM calls`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var text, image string
			if err := rows.Scan(&text, &image); err != nil {
				t.Fatal(err)
			}
			if image != "" {
				var ref irgdata.ImageRef
				if err := json.Unmarshal([]byte(image), &ref); err != nil {
					t.Fatal(err)
				}
				text = ref.Digest.String()
			}
			answers[text] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// transcript is what a process says.
type transcript struct {
	mu     sync.Mutex
	out    bytes.Buffer
	ended  bool
	change *sync.Cond
}

func newTranscript() *transcript {
	s := &transcript{}
	s.change = sync.NewCond(&s.mu)
	return s
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change.Broadcast()
	return s.out.Write(p)
}

func (s *transcript) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.change.Broadcast()
}

func (s *transcript) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// await waits until the process has said the text, or has ended, and reports
// whether it said it.
func (s *transcript) await(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && !strings.Contains(s.out.String(), text) {
		s.change.Wait()
	}
	return strings.Contains(s.out.String(), text)
}

// samplePairs writes the pairs of a test's sites.
func samplePairs(t *testing.T, n int) string {
	t.Helper()
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, n, 3); err != nil {
		t.Fatal(err)
	}
	return pairs
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// killedConfig builds small pairs with models behind a server, with shards and
// row groups so small that kills hit their writing too.
const killedConfig = `
sources: [{name: pairs, path: %s}]
store: store
work: work
image: {width: 64, height: 64}
models: {irg: {kind: omni, url: "%s/v1", revision: "1"}, vlm: {kind: openai, url: "%s/v1", revision: "1"}}
roles: {base: irg, annotator: vlm}
ingest: {duplicates: {images: 0, prompts: 0}}
filter: {rules: [{rule: coverage, min: 0}]}
calls: {workers: 4, share: 50ms}
shards: {size: 64 KiB, row_group: 16 KiB}
export: {to: export, ranks: 2, workers: 2}
`

// TestKilledBuilds kills a build with SIGKILL at many random moments, each
// time going on with what the last one left. No call that was in the ledger
// when a process began is made again, nothing half-written is visible after
// any kill, and the end is the same, byte for byte, as that of a build which
// was left alone.
func TestKilledBuilds(t *testing.T) {
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, 40, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	configure := func() (dir string) {
		dir = t.TempDir()
		text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
		if err := os.WriteFile(filepath.Join(dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	alone := configure()
	start := time.Now()
	if out, err := command(t.Context(), alone, "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(start)
	calls := models.made()
	models.forget()

	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("IRGDATA_TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("IRGDATA_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	kills := 30
	if testing.Short() {
		kills = 4
	}
	dir := configure()
	killed := 0
	for killed < kills {
		finished := ledgerAnswers(t, dir)
		models.forget()
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Float64()*1.1*float64(whole)))
		cmd := command(ctx, dir, "build")
		out, err := cmd.CombinedOutput()
		cancel()
		for answer, times := range models.asked() {
			if finished[answer] {
				t.Fatalf("kill %d: a call that was in the ledger was made again (%d times): %.200s", killed, times, answer)
			}
		}
		switch {
		case cmd.ProcessState.Success():
			// It came to its end; begin anew, so that kills hit all parts.
			comparePublished(t, alone, dir)
			dir = configure()
			continue
		case cmd.ProcessState.ExitCode() == -1: // by a signal
			killed++
			checkVisible(t, dir)
		default:
			t.Fatalf("kill %d: %v\n%s", killed, err, out)
		}
	}
	if out, err := command(t.Context(), dir, "build").CombinedOutput(); err != nil {
		t.Fatalf("after %d kills: %v\n%s", killed, err, out)
	}
	comparePublished(t, alone, dir)
	t.Logf("%d kills within a build of %s and %d calls", killed, whole.Round(time.Millisecond), calls)

	models.forget()
	if out, err := command(t.Context(), dir, "build").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("no model call was made")) {
		t.Errorf("%v\n%s", err, out)
	}
	if n := models.made(); n > 0 {
		t.Errorf("a repeated build made %d calls", n)
	}
	if n := temporaryFiles(t, dir); len(n) > 0 {
		t.Errorf("temporary files are left: %v", n)
	}
}

// TestInterruptedBuild: Ctrl-C ends a build in order, with the calls under way
// recorded, with code 130 and a word on how to go on.
func TestInterruptedBuild(t *testing.T) {
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, 20, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	dir := t.TempDir()
	text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
	if err := os.WriteFile(filepath.Join(dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), dir, "build")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	asked := make(chan struct{})
	models.onRequest(15, func() { close(asked) })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-asked:
		_ = cmd.Process.Signal(os.Interrupt) // if it has ended, the exit code tells
	case err := <-ended:
		t.Fatalf("it ended before its 15th call: %v\n%s", err, out.String())
	}
	err := <-ended
	if cmd.ProcessState.ExitCode() != exitInterrupted || !strings.Contains(out.String(), "goes on from here") || !strings.Contains(out.String(), "waited for") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	finished := ledgerAnswers(t, dir)
	for answer := range models.asked() {
		if !finished[answer] {
			t.Errorf("a call under way was broken off: %.100s", answer)
		}
	}
	models.forget()
	if out, err := command(t.Context(), dir, "build").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for answer := range models.asked() {
		if finished[answer] {
			t.Errorf("a finished call was made again: %.100s", answer)
		}
	}
	if len(finished) == 0 {
		t.Error("nothing was kept")
	}
}

// TestSecondInterrupt: after the first Ctrl-C a build waits for the calls under
// way, here for one that never ends; the second ends it at once, and the next
// build goes on.
func TestSecondInterrupt(t *testing.T) {
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, 5, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	dir := t.TempDir()
	text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
	if err := os.WriteFile(filepath.Join(dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	models.onRequest(5, func() { close(asked); <-release })
	cmd := command(t.Context(), dir, "build")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = cmd.Process.Signal(os.Interrupt) // if it has ended, the lines tell
	lines := bufio.NewScanner(stderr)
	waits := false
	for !waits && lines.Scan() {
		waits = strings.Contains(lines.Text(), "waited for")
	}
	if !waits {
		t.Error("it does not say that it waits for the calls under way")
	}
	_ = cmd.Process.Signal(os.Interrupt)
	for lines.Scan() { // until it has ended
	}
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("code %d, want %d", code, exitInterrupted)
	}
	close(release)
	if out, err := command(t.Context(), dir, "build").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSecondBuildIsRefused: while a build is under way, another one in the same
// work folder would make the calls that the first is about to make.
func TestSecondBuildIsRefused(t *testing.T) {
	pairs := filepath.Join(t.TempDir(), "pairs")
	if err := scenes.WriteSamples(pairs, 5, 3); err != nil {
		t.Fatal(err)
	}
	models := newModelServer(t)
	dir := t.TempDir()
	text := fmt.Sprintf(killedConfig, pairs, models.URL, models.URL)
	if err := os.WriteFile(filepath.Join(dir, "irgdata.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	asked, release := make(chan struct{}), make(chan struct{})
	models.onRequest(1, func() { close(asked); <-release })
	first := command(t.Context(), dir, "build")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("it ended before its first call: %v", err)
	}
	second := command(t.Context(), dir, "build")
	out, _ := second.CombinedOutput() // the exit code tells
	if second.ProcessState.ExitCode() != exitTryAgain || !strings.Contains(string(out), "a build of this dataset is under way") {
		t.Errorf("code %d\n%s", second.ProcessState.ExitCode(), out)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for answer, times := range models.asked() {
		if times > 1 {
			t.Errorf("a call was made %d times: %.100s", times, answer)
		}
	}
}

// command is the command as a process that ctx kills.
func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "irgdata", args...)
	cmd.Dir = dir
	return cmd
}

// asked is what was answered since the last forget, and how often.
func (s *modelServer) asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := map[string]int{}
	for k, v := range s.requests {
		copied[k] = v
	}
	return copied
}

func (s *modelServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.requests)
}

// ledgerAnswers are the answers of the calls in the ledger of dir, as the model
// server knows them.
func ledgerAnswers(t *testing.T, dir string) map[string]bool {
	t.Helper()
	answers := map[string]bool{}
	ledgers, err := filepath.Glob(filepath.Join(dir, "work", "ledger-*.sqlite"))
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

// checkVisible verifies what a killed build left: a snapshot that is there is
// whole, and so is an export.
func checkVisible(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "store", "manifests", "000001.json")); err == nil {
		if out, err := command(t.Context(), dir, "verify", "--full").CombinedOutput(); err != nil {
			t.Fatalf("a killed build left a damaged snapshot: %v\n%s", err, out)
		}
	}
	exports, err := filepath.Glob(filepath.Join(dir, "export", "snapshot-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, export := range exports {
		if _, err := os.Stat(filepath.Join(export, "export.json")); err != nil {
			t.Fatalf("a killed build left half an export: %v", err)
		}
	}
}

// comparePublished compares snapshots, shards and exports of two folders.
func comparePublished(t *testing.T, a, b string) {
	t.Helper()
	for _, part := range []string{"store/manifests", "store/shards", "store/rejects", "export"} {
		x, y := published(t, a, part), published(t, b, part)
		for name, content := range x {
			if y[name] != content {
				t.Errorf("%s differs after kills", filepath.Join(part, name))
			}
		}
		if len(x) != len(y) || len(x) == 0 && part != "store/rejects" {
			t.Errorf("%s: %d files, want %d", part, len(y), len(x))
		}
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

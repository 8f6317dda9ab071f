package manifests_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime"
)

// recordForeverIn names the ledger that a child process of this test fills
// until it is killed.
const recordForeverIn = "IRGDATA_TEST_RECORD_FOREVER_IN"

func TestMain(m *testing.M) {
	if path := os.Getenv(recordForeverIn); path != "" {
		recordForever(path)
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func openLedger(t testing.TB, path string) *manifests.Ledger {
	t.Helper()
	l, err := manifests.OpenLedger(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func call(i int) manifests.Call {
	return manifests.Call{
		Key: irgdata.DigestOf(fmt.Appendf(nil, "call %d", i)), Step: "hindsight/1", Model: "m@1",
		Text: fmt.Sprintf("<think>%d</think>", i), Finish: "stop", Seconds: 0.5, TokensIn: 10, TokensOut: i, Attempts: 1,
	}
}

func TestLedgerKeepsCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder? #1", "ledger.sqlite")
	image := call(1)
	image.Text, image.Image = "", irgdata.ImageRef{Digest: irgdata.DigestOf([]byte("x")), Size: 1, Format: irgdata.FormatPNG, Width: 2, Height: 3}
	failed := call(2)
	failed.Text, failed.Rule, failed.Reason = "", "refused", "no dogs here"
	judged := call(3)
	judged.Text, judged.First = "yes", []runtime.Candidate{{Token: "yes", Logprob: -0.1}, {Token: " no", Logprob: -2.5}}
	calls := []manifests.Call{call(0), image, failed, judged}

	l := openLedger(t, path)
	for _, c := range calls {
		if _, err := l.Record(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	// Of two ends of a call, one holds, whichever came first.
	second := call(0)
	second.Text = "zzz: another answer"
	if got, err := l.Record(t.Context(), second); err != nil || got.Text != calls[0].Text {
		t.Fatal(got, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Record(t.Context(), call(9)); err == nil {
		t.Error("a closed ledger took a call")
	}

	l = openLedger(t, path)
	defer l.Close()
	for _, want := range calls {
		got, found, err := l.Lookup(t.Context(), want.Key)
		if err != nil || !found {
			t.Fatalf("call %s: found %v, %v", want.Key, found, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, found, err := l.Lookup(t.Context(), call(9).Key); found || err != nil {
		t.Errorf("found a call that nobody made: %v", err)
	}
	costs, err := l.Costs(t.Context())
	want := []manifests.StepCost{{Step: "hindsight/1", Model: "m@1", Calls: 4, Failed: 1, Attempts: 4, Seconds: 2, TokensIn: 40, TokensOut: 6}}
	if diff := cmp.Diff(want, costs); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestLedgerManyWriters(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.sqlite"))
	defer l.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := l.Record(t.Context(), call(w*50+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 400 {
		if _, found, err := l.Lookup(t.Context(), call(i).Key); !found || err != nil {
			t.Errorf("call %d: found %v, %v", i, found, err)
		}
	}
}

// TestLedgerReadsFormat1: a ledger of an older irgdata is brought up to date,
// once, and keeps its calls.
func TestLedgerReadsFormat1(t *testing.T) {
	old, err := os.ReadFile("testdata/formats/ledger-1.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	if err := os.WriteFile(path, old, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l := openLedger(t, path)
		got, found, err := l.Lookup(t.Context(), call(0).Key)
		if diff := cmp.Diff(call(0), got); diff != "" || !found || err != nil {
			t.Error(found, err, diff)
		}
		judged := call(3)
		judged.First = []runtime.Candidate{{Token: "yes", Logprob: -0.1}}
		judged.Server = "gpu 0"
		if _, err := l.Record(t.Context(), judged); err != nil {
			t.Error(err)
		}
		if got, _, err := l.Lookup(t.Context(), judged.Key); err != nil || len(got.First) != 1 || got.Server != "gpu 0" {
			t.Errorf("got %+v, %v", got, err)
		}
		if costs, err := l.ServerCosts(t.Context()); err != nil || len(costs) != 1 || costs[0].Server != "gpu 0" || costs[0].Calls != 1 {
			t.Errorf("got %+v, %v, want one call of gpu 0", costs, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLedgerRefusesAnotherFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := manifests.OpenLedger(t.Context(), path); err == nil || !strings.Contains(err.Error(), "format 99") {
		t.Errorf("got %v, want an error that names the format", err)
	}
}

func TestLedgerRefusesAnotherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.OpenLedger(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

// recordForever records calls and prints the number of each after Record has
// returned.
func recordForever(path string) {
	l, err := manifests.OpenLedger(context.Background(), path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		if _, err := l.Record(context.Background(), call(i)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

// TestLedgerSurvivesKill: what Record acknowledged before kill -9 is there
// afterwards, several times over the same file.
func TestLedgerSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.sqlite")
	for _, after := range []int{1, 20, 75, 200} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), recordForeverIn+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := 0
		lines := bufio.NewScanner(out)
		for acknowledged < after && lines.Scan() {
			acknowledged++
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was on its way through the pipe
			acknowledged++
		}
		_ = cmd.Wait() // killed, so it reports an error
		if acknowledged < after {
			t.Fatalf("the child recorded %d calls, want %d", acknowledged, after)
		}

		l := openLedger(t, path)
		for i := range acknowledged {
			if got, found, err := l.Lookup(t.Context(), call(i).Key); !found || err != nil || got.Text != call(i).Text {
				t.Fatalf("call %d of %d was acknowledged and is lost (%v)", i, acknowledged, err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkLedgerRecord(b *testing.B) {
	l := openLedger(b, filepath.Join(b.TempDir(), "ledger.sqlite"))
	defer l.Close()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			i := n
			mu.Unlock()
			if _, err := l.Record(b.Context(), call(i)); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkLedgerLookup(b *testing.B) {
	l := openLedger(b, filepath.Join(b.TempDir(), "ledger.sqlite"))
	defer l.Close()
	for i := range 1000 {
		if _, err := l.Record(b.Context(), call(i)); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		if _, found, err := l.Lookup(b.Context(), call(i%1000).Key); !found || err != nil {
			b.Fatal(found, err)
		}
	}
}

package manifests_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// TestDeadRunOfTheFuture: when the clock was set back, a dead run whose mark is
// from a time that is yet to come blocks nobody.
func TestDeadRunOfTheFuture(t *testing.T) {
	store := newStore(t)
	dead, err := manifests.BeginRun(t.Context(), store, "build", nil)
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range store.List(t.Context(), "runs/") {
		later := time.Now().AddDate(1, 0, 0)
		if err == nil {
			err = os.Chtimes(store.URL(o.Key), later, later)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	alone, err := manifests.BeginAlone(t.Context(), store, "gc")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Held(t.Context()); !errors.Is(err, manifests.ErrTakenForDead) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(alone.End(t.Context()), dead.End(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestKilledRuns: a run of this machine that was killed blocks nobody, were it alone
// or not. The killed process is this test's own program.
func TestKilledRuns(t *testing.T) {
	const variable = "IRGDATA_TEST_RUN_IN"
	begin := func(store blob.Store, alone bool) (*manifests.Run, error) {
		if alone {
			return manifests.BeginAlone(t.Context(), store, "gc")
		}
		return manifests.BeginRun(t.Context(), store, "build", func(who string) { t.Errorf("it waits for %s", who) })
	}
	if dir, kind, told := strings.Cut(os.Getenv(variable), " "); told {
		store, err := blob.NewFile(dir)
		if err == nil {
			_, err = begin(store, kind == "alone")
		}
		fmt.Println(err)
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not tell that a process has ended")
	}
	for _, killed := range []string{"alone", "shared"} {
		store := newStore(t)
		child := exec.Command(os.Args[0], "-test.run=^TestKilledRuns$")
		child.Env = append(os.Environ(), variable+"="+store.URL("")+" "+killed)
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "<nil>\n" {
			t.Fatalf("the child says %q (%v)", said, err)
		}
		if _, err := begin(store, true); !errors.Is(err, manifests.ErrRunning) {
			t.Errorf("beside a live run that is %s: %v", killed, err)
		}
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
		in.Close()
		for _, alone := range []bool{false, true} {
			run, err := begin(store, alone)
			if err == nil {
				err = run.End(t.Context())
			}
			if err != nil {
				t.Errorf("after a killed run that was %s: %v", killed, err)
			}
		}
	}
}

// TestMarkWithLostAnswer: a mark whose answer was lost, and that was put again, is
// there.
func TestMarkWithLostAnswer(t *testing.T) {
	run, err := manifests.BeginRun(t.Context(), putTwice{newStore(t)}, "build", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.End(t.Context()); err != nil {
		t.Error(err)
	}
}

// putTwice loses the answer to each put and puts it again, as clients of S3 do.
type putTwice struct{ blob.Store }

func (s putTwice) Put(ctx context.Context, key string, body io.Reader, o blob.PutOptions) error {
	content, err := io.ReadAll(body)
	if err == nil {
		err = s.Store.Put(ctx, key, bytes.NewReader(content), o)
	}
	if err != nil {
		return err
	}
	return s.Store.Put(ctx, key, bytes.NewReader(content), o)
}

// TestRuns: runs that add go on side by side, one that deletes is alone, and a
// dead one blocks nobody and publishes nothing.
func TestRuns(t *testing.T) {
	defer goleak.VerifyNone(t)
	store := newStore(t)
	ctx := t.Context()
	begin := func() *manifests.Run {
		t.Helper()
		r, err := manifests.BeginRun(ctx, store, "build", func(string) { t.Error("it waited") })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	end := func(r *manifests.Run) {
		t.Helper()
		if err := r.End(ctx); err != nil {
			t.Error(err)
		}
	}
	first, second := begin(), begin()
	if _, err := manifests.BeginAlone(ctx, store, "gc"); !errors.Is(err, manifests.ErrRunning) || !strings.Contains(err.Error(), "build on ") {
		t.Fatalf("got %v", err)
	}
	end(first)
	if err := second.Held(ctx); err != nil {
		t.Error(err)
	}
	// The second one falls asleep: its mark grows old.
	old := time.Now().Add(-time.Hour)
	for o, err := range store.List(ctx, "runs/") {
		if err == nil {
			err = os.Chtimes(store.URL(o.Key), old, old)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	alone, err := manifests.BeginAlone(ctx, store, "gc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manifests.BeginAlone(ctx, store, "gc"); !errors.Is(err, manifests.ErrRunning) {
		t.Errorf("two are alone: %v", err)
	}
	if err := second.Held(ctx); !errors.Is(err, manifests.ErrTakenForDead) {
		t.Errorf("got %v", err)
	}
	end(second)

	// One that adds waits for it.
	waiting := make(chan string, 1)
	began := make(chan error, 1)
	go func() {
		r, err := manifests.BeginRun(ctx, store, "build", func(who string) { waiting <- who })
		if err == nil {
			err = r.End(ctx)
		}
		began <- err
	}()
	if who := <-waiting; !strings.Contains(who, "gc on ") {
		t.Errorf("it waits for %s", who)
	}
	end(alone)
	if err := <-began; err != nil {
		t.Error(err)
	}
}

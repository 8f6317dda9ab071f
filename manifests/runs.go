package manifests

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/lock"
)

// RunPrefix is the folder of the marks of runs that write to the store. They
// are the only objects that are written more than once. An export in a bucket has such
// marks of its own, which it removes when it is whole.
//
// Runs that add to a dataset go on side by side. One that deletes from it must
// be alone: an object that nobody needs may be the very one that a build is
// about to find there and to build upon. Each puts its mark first and looks for
// others then, so that of two at least one sees the other.
//
// A mark whose process is known to have ended is that of a dead run and removed; that
// is known on the machine where it ran. Dead is also one that was not renewed for
// runDead, by the clock of the store, and one that is as far in the future: the clock
// was set back, and a live run would have renewed it since. Whoever takes it for dead
// says so by a second object, which stays: a run that was merely asleep finds it when
// it asks Held, and must not publish.
const (
	RunPrefix = "runs/"

	aloneMark  = "alone-"
	sharedMark = "shared-"
	deadSuffix = ".dead"

	renewEvery = time.Minute
	runDead    = 10 * time.Minute
)

// runMark tells whose run it is.
type runMark struct {
	Command string `json:"command"`
	Host    string `json:"host"`
	Process int    `json:"process"`
	// Lasting is the name of the process as [lock.Process] gives it.
	Lasting string `json:"lasting,omitempty"`
}

// Run is a run that writes to a store. It is ended once.
type Run struct {
	store  blob.Store
	key    string
	cancel context.CancelFunc
	ended  chan struct{}
}

var (
	// ErrRunning says that other runs are at the store and must end first.
	ErrRunning = errors.New("another run is at it")
	// ErrTakenForDead says that a run did not renew its mark for so long that
	// another one took it for dead. What it found in the store may be gone.
	ErrTakenForDead = errors.New("this run was asleep or cut off from the store for so long that another one took it for dead")
)

// BeginRun marks a run that adds to the store. While one that deletes is under
// way it waits, having told wait of it.
func BeginRun(ctx context.Context, store blob.Store, command string, wait func(who string)) (*Run, error) {
	r, err := mark(ctx, store, sharedMark, command)
	if err != nil {
		return nil, err
	}
	for told := false; ; {
		others, err := r.others(ctx, aloneMark)
		if err == nil && len(others) == 0 {
			return r, nil
		}
		if err == nil {
			if !told {
				told = true
				wait(others[0])
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			return nil, errors.Join(err, r.End(ctx))
		}
	}
}

// BeginAlone marks a run that deletes from the store, or gives ErrRunning.
func BeginAlone(ctx context.Context, store blob.Store, command string) (*Run, error) {
	r, err := mark(ctx, store, aloneMark, command)
	if err != nil {
		return nil, err
	}
	others, err := r.others(ctx, "")
	if err == nil && len(others) > 0 {
		err = fmt.Errorf("%w: %s: run it again when that has ended; one that was killed on another machine counts as dead after %s", ErrRunning, strings.Join(others, ", "), runDead)
	}
	if err != nil {
		return nil, errors.Join(err, r.End(ctx))
	}
	return r, nil
}

// mark puts the mark of a new run, and renews it until the run ends.
func mark(ctx context.Context, store blob.Store, kind, command string) (*Run, error) {
	r := &Run{store: store, key: RunPrefix + kind + strings.ToLower(rand.Text()) + ".json", ended: make(chan struct{})}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	text, err := seal(runMark{Command: command, Host: host, Process: os.Getpid(), Lasting: lock.Process(os.Getpid())})
	if err == nil {
		err = blob.PutBytes(ctx, store, r.key, text, blob.PutOptions{CreateOnly: true})
	}
	// No other run has this name: what is there is this mark, put by a try whose
	// answer was lost.
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return nil, fmt.Errorf("mark the run: %w", err)
	}
	var renewing context.Context
	renewing, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.ended)
		tick := time.NewTicker(renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// One that fails is tried again, and Held tells if all of them did.
				_ = blob.PutBytes(renewing, store, r.key, text, blob.PutOptions{})
			case <-renewing.Done():
				return
			}
		}
	}()
	return r, nil
}

// others names the live runs beside this one whose marks begin so. Dead ones
// are declared dead.
func (r *Run) others(ctx context.Context, kind string) ([]string, error) {
	var marks []blob.Object
	dead := map[string]bool{}
	var now time.Time
	for o, err := range r.store.List(ctx, RunPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list the runs: %w", err)
		}
		if live, is := strings.CutSuffix(o.Key, deadSuffix); is {
			dead[live] = true
			continue
		}
		if o.Key == r.key {
			now = o.ModTime // by the store's clock, and at most renewEvery ago
			continue
		}
		marks = append(marks, o)
	}
	if dead[r.key] {
		return nil, ErrTakenForDead
	}
	if now.IsZero() {
		return nil, fmt.Errorf("list the runs: %s is not there", r.store.URL(r.key))
	}
	var names []string
	for _, o := range marks {
		if dead[o.Key] || !strings.HasPrefix(o.Key, RunPrefix+kind) {
			continue
		}
		if now.Sub(o.ModTime).Abs() > runDead {
			if err := r.declareDead(ctx, o.Key); err != nil {
				return nil, err
			}
			continue
		}
		m, err := loadSealed[runMark](ctx, r.store, o.Key)
		if errors.Is(err, blob.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		if lock.Ended(m.Lasting) { // it will never ask
			if err := r.store.Delete(ctx, o.Key); err != nil {
				return nil, fmt.Errorf("remove the mark of a run that was killed: %w", err)
			}
			continue
		}
		names = append(names, fmt.Sprintf("%s on %s (process %d)", m.Command, m.Host, m.Process))
	}
	return names, nil
}

func (r *Run) declareDead(ctx context.Context, key string) error {
	err := blob.PutBytes(ctx, r.store, key+deadSuffix, []byte("taken for dead\n"), blob.PutOptions{CreateOnly: true})
	if err != nil && !errors.Is(err, blob.ErrExists) {
		return fmt.Errorf("declare a run dead: %w", err)
	}
	return nil
}

// Held gives ErrTakenForDead if another run took this one for dead. It is asked
// before anything is published or deleted.
func (r *Run) Held(ctx context.Context) error {
	_, err := r.store.Stat(ctx, r.key+deadSuffix)
	switch {
	case errors.Is(err, blob.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the mark of this run: %w", err)
	}
	return fmt.Errorf("%w: what was paid for is kept, run the same command again", ErrTakenForDead)
}

// End removes the mark, also when ctx is done. A mark that cannot be removed
// counts as dead in a while.
func (r *Run) End(ctx context.Context) error {
	r.cancel()
	<-r.ended
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := r.store.Delete(ctx, r.key); err != nil {
		return fmt.Errorf("end the run: %w", err)
	}
	return nil
}

// RemoveMarks removes the marks of all runs from a store to which no run writes any
// more. What says that a run was taken for dead stays: it may yet wake up and ask.
func RemoveMarks(ctx context.Context, store blob.Store) error {
	for o, err := range store.List(ctx, RunPrefix) {
		if err == nil && !strings.HasSuffix(o.Key, deadSuffix) {
			err = store.Delete(ctx, o.Key)
		}
		if err != nil {
			return fmt.Errorf("remove the marks of runs: %w", err)
		}
	}
	return nil
}

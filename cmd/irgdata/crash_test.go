package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/irgdata/irgdata/internal/blob/s3test"
)

// TestCrash disturbs builds into a folder and into a bucket of a real S3 server.
// After each disturbance no object and no export is visible that is not whole,
// and no call was made that had been finished; and the next build ends well,
// makes none of them either, publishes what an undisturbed build does, byte for
// byte, and leaves nothing temporary.
//
// IRGDATA_CRASH_ROUNDS is how often each disturbance is tried, and
// IRGDATA_CRASH_SEED the seed of the first time; the next ones add 1 to it. With
// a seed alone each is tried once.
func TestCrash(t *testing.T) {
	n := 16
	if testing.Short() {
		n = 5
	}
	h := &harness{seed: uint64(time.Now().UnixNano()), pairs: samplePairs(t, n), calls: 5 * n / 2}
	for _, from := range []struct {
		variable string
		set      func(uint64)
	}{
		{"IRGDATA_CRASH_SEED", func(n uint64) { h.seed, h.rounds = n, 1 }},
		{"IRGDATA_CRASH_ROUNDS", func(n uint64) { h.rounds = int(n) }},
	} {
		text := os.Getenv(from.variable)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			t.Fatalf("%s: %v", from.variable, err)
		}
		from.set(n)
	}
	h.undisturbed = newSite(t, h.pairs, nil)
	start := time.Now()
	h.undisturbed.must(t, "build")
	h.whole = time.Since(start)
	t.Run("folder", func(t *testing.T) { h.run(t, nil) })
	t.Run("bucket", func(t *testing.T) { h.run(t, s3test.Start(t)) })
}

// harness is what all disturbances have in common.
type harness struct {
	seed        uint64
	rounds      int // 0: those of the disturbance
	pairs       string
	calls       int            // fewer than a build makes
	server      *s3test.Server // nil: stores are folders
	undisturbed *site
	whole       time.Duration // of an undisturbed build
}

// disturbance is something that happens to builds.
type disturbance struct {
	name           string
	folder, bucket int // rounds in the usual tests
	// happen ruins a build of the site and ends when it has ended; what follows
	// is checked by the harness.
	happen func(t *testing.T, h *harness, s *site, random *rand.Rand)
}

func disturbances() []disturbance {
	return []disturbance{
		{"SIGKILL at random moments", 2, 1, killed},
		{"SIGKILL, and the work folder is lost", 1, 1, machineLost},
		{"SIGTERM", 1, 0, terminated},
		{"Ctrl-C", 1, 1, interrupted},
		{"Ctrl-C twice", 1, 0, interruptedTwice},
		{"each operation of the store fails", 1, 1, failing},
		{"requests to the store fail or their answers are lost", 0, 1, cutOff},
		{"SIGKILL within a multipart upload", 0, 1, killedUploading},
		{"SIGKILL when the snapshot is published", 0, 1, killedPublishing},
		{"SIGKILL of the store's server", 0, 1, serverKilled},
		{"the disk of the store is full", 1, 0, full("store", false)},
		{"the disk of the store is full for a moment", 1, 0, full("store", true)},
		{"the disk of the work folder is full", 1, 0, full("work", false)},
		{"the disk of the work folder is full for a moment", 1, 0, full("work", true)},
		{"the store is read-only", 1, 0, readOnly("store")},
		{"the work folder is read-only", 1, 1, readOnly("work")},
		{"the place of exports is read-only", 1, 0, readOnly("export")},
		{"the clock jumps", 1, 1, clockJumps},
		{"the clock of the machine jumps", 0, 1, ownClockJumps},
		{"the clock jumps and gc takes the build for dead", 1, 1, takenForDead},
		{"the holder of the lock is killed", 1, 0, holderKilled},
	}
}

// run disturbs builds whose stores are in buckets of server, or in folders if that
// is nil. Either way the same is published.
func (h *harness) run(t *testing.T, server *s3test.Server) {
	group := *h
	group.server = server
	for i, d := range disturbances() {
		rounds := d.folder
		if server != nil {
			rounds = d.bucket
		}
		switch {
		case rounds == 0 || testing.Short() && i%4 > 0:
			continue
		case h.rounds > 0:
			rounds = h.rounds
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				seed := h.seed + uint64(round)
				s := newSite(t, h.pairs, server)
				s.undisturbed, s.calls = h.undisturbed, h.calls
				t.Logf("round %d: IRGDATA_CRASH_SEED=%d", round, seed)
				d.happen(t, &group, s, rand.New(rand.NewPCG(seed, 0)))
				if s.last != nil && s.last.wait() == exitDone {
					s.ended(t)
				} else {
					s.check(t)
					s.finish(t)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

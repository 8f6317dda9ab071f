package manifests

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// benchCalls names the number of calls of [BenchmarkOpenLedger].
const benchCalls = "IRGDATA_BENCH_CALLS"

// BenchmarkOpenLedger opens a ledger of 20,000 calls, or as many as the
// environment says, each with a text of some 600 bytes: on a fresh machine from
// the compacted segments of a store, and then again with the local copy.
func BenchmarkOpenLedger(b *testing.B) {
	n := 20_000
	if text := os.Getenv(benchCalls); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	store, err := blob.NewFile(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for first := 0; first < n; first += compactCalls {
		var calls []Call
		for i := first; i < min(n, first+compactCalls); i++ {
			var text strings.Builder
			for range 100 {
				fmt.Fprintf(&text, "%05x ", random.IntN(4096))
			}
			calls = append(calls, Call{Key: irgdata.DigestOf(fmt.Append(nil, i)), Step: "draft/1", Model: "m@1", Text: text.String(), Finish: "stop", Seconds: 1, TokensIn: 100, TokensOut: 100, Attempts: 1,
				Asked: Asked{Pair: irgdata.DigestOf(fmt.Append(nil, "pair", i/4)), Shown: Fingerprint(irgdata.DigestOf(fmt.Append(nil, "image", i/4))), Recipe: fmt.Sprint("recipe ", i%4), Inputs: "draft_thinking:0123456789abcdef"}})
		}
		s := segment{calls: calls}
		s.settle()
		encoded, err := encodeSegment(s)
		if err != nil {
			b.Fatal(err)
		}
		digest := irgdata.DigestOf(encoded)
		if err := blob.PutContent(b.Context(), store, segmentKey(digest), bytes.NewReader(encoded), int64(len(encoded)), digest); err != nil {
			b.Fatal(err)
		}
	}
	dir, path := b.TempDir(), ""
	open := func(b *testing.B) {
		if err := FillLedger(b.Context(), path, store); err != nil {
			b.Fatal(err)
		}
		l, err := OpenLedger(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Pull(b.Context(), store); err != nil {
			b.Fatal(err)
		}
		if _, found, err := l.Lookup(b.Context(), irgdata.DigestOf(fmt.Append(nil, n-1))); !found || err != nil {
			b.Fatal(found, err)
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.Run("fresh", func(b *testing.B) {
		resetPeak()
		before := processorTime()
		for i := 0; b.Loop(); i++ {
			path = filepath.Join(dir, fmt.Sprintf("ledger-%d.sqlite", i))
			open(b)
		}
		b.ReportMetric((processorTime()-before).Seconds()/float64(b.N), "processor-s/op")
		b.ReportMetric(peak(), "MB-resident")
	})
	b.Run("local", func(b *testing.B) {
		resetPeak()
		for b.Loop() {
			open(b)
		}
		b.ReportMetric(peak(), "MB-resident")
	})
}

// processorTime is what the process has used, on all processors together: on a
// busy machine it says more than the time that went by.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak gives unused memory back and has Linux forget the most that was
// resident.
func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // elsewhere there is no peak
}

// peak is the most resident memory since resetPeak, in MB; 0 if unknown.
func peak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kB, _ := strconv.ParseFloat(fields[0], 64)
	return kB * 1024 / 1e6
}

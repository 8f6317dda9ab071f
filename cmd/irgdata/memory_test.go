package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const (
	// measureIn names the folder in which a child process builds and measures
	// itself.
	measureIn = "IRGDATA_TEST_MEASURE_IN"
	// measurePairs and memoryCeiling are stated in docs/benchmarks.md.
	measurePairs  = 20_000
	memoryCeiling = 300 << 20
)

// measure builds in root and prints the largest resident set that the process
// had, in bytes.
func measure(root string) int {
	ctx := context.Background()
	d, err := instantDataset(ctx, root, measurePairs, 64)
	if err == nil {
		var r result
		if r, err = d.run(ctx, newProgress(io.Discard)); err == nil && r.snapshot.Counts.Trajectories != measurePairs {
			err = fmt.Errorf("%+v", r.snapshot.Counts)
		}
		err = errors.Join(err, d.close(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	peak, err := peakMemory()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(peak)
	return 0
}

// peakMemory is this process's high-water mark, which Linux keeps.
func peakMemory() (int64, error) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// TestMemoryIsBounded builds from 20,000 pairs in a process of its own, with
// Go's own settings, and holds its largest resident set against the ceiling.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds 20,000 pairs")
	}
	if raceEnabled {
		t.Skip("the race detector multiplies memory")
	}
	if _, err := peakMemory(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), measureIn+"="+t.TempDir(), "GOMEMLIMIT=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	peak, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pairs: at most %d MiB resident", measurePairs, peak>>20)
	if peak > memoryCeiling {
		t.Errorf("%d MiB were resident, want at most %d", peak>>20, memoryCeiling>>20)
	}
}

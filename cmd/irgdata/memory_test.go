package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/ingest"
)

const (
	// measureWhat names the entry of measured that a child process does and
	// measures, and measureIn the folder in which it does.
	measureWhat = "IRGDATA_TEST_MEASURE"
	measureIn   = "IRGDATA_TEST_MEASURE_IN"
	// measurePairs and memoryCeiling are stated in docs/benchmarks.md.
	measurePairs  = 20_000
	memoryCeiling = 300 << 20
	// largePairs have each an image of 390 kB, in the rows of four modes.
	largePairs = 500
	largeBytes = 2 * memoryCeiling // of their export, at least
)

var measured = map[string]func(ctx context.Context, root string) error{
	"build": func(ctx context.Context, root string) error {
		d, err := instantDataset(ctx, root, measurePairs, 64)
		if err != nil {
			return err
		}
		return errors.Join(buildAll(ctx, d, measurePairs), d.close(ctx))
	},
	"export": func(ctx context.Context, root string) error {
		d, err := newInstantDataset(root)
		if err == nil {
			err = d.open(ctx, store)
		}
		if err != nil {
			return err
		}
		// Few readers have the largest row groups.
		d.config.Export.Ranks, d.config.Export.Workers, d.config.Workers = 2, 2, 2
		s, err := d.snapshot(ctx, "")
		if err == nil {
			_, err = d.exports(ctx, s)
		}
		return errors.Join(err, d.close(ctx))
	},
}

// buildAll builds a snapshot that must hold n trajectories.
func buildAll(ctx context.Context, d *dataset, n int64) error {
	r, err := d.run(ctx, newProgress(io.Discard))
	if err == nil && r.snapshot.Counts.Trajectories != n {
		err = fmt.Errorf("%+v", r.snapshot.Counts)
	}
	return err
}

// measure does what is asked for in root and prints the largest resident set that
// the process had, in bytes.
func measure(what, root string) int {
	err := measured[what](context.Background(), root)
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

// boundsMemory skips the test where memory cannot be measured.
func boundsMemory(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it makes a large dataset")
	}
	if raceEnabled {
		t.Skip("the race detector multiplies memory")
	}
	if _, err := peakMemory(); err != nil {
		t.Skip(err)
	}
}

// holdMemory does what is named in a process of its own, with Go's own settings,
// and holds its largest resident set against the ceiling.
func holdMemory(t *testing.T, what, root string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), measureWhat+"="+what, measureIn+"="+root, "GOMEMLIMIT=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	peak, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: at most %d MiB resident", what, peak>>20)
	if peak > memoryCeiling {
		t.Errorf("%d MiB were resident, want at most %d", peak>>20, memoryCeiling>>20)
	}
}

// TestMemoryIsBounded builds from 20,000 pairs.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	boundsMemory(t)
	holdMemory(t, "build", t.TempDir())
}

// TestMemoryOfAnExportIsBounded exports rows that are far more than the ceiling.
func TestMemoryOfAnExportIsBounded(t *testing.T) {
	t.Parallel()
	boundsMemory(t)
	root := t.TempDir()
	d, err := newInstantDataset(root)
	if err == nil {
		err = d.open(t.Context(), write)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.config.Export.Formats = nil
	d.feeds = []ingest.Feed{{Source: ingest.NewFolder("made", madeFolder{n: largePairs, picture: noise(t, 360)}, ".", ingest.Columns{})}}
	if err := errors.Join(buildAll(t.Context(), d, largePairs), d.close(t.Context())); err != nil {
		t.Fatal(err)
	}
	holdMemory(t, "export", root)
	size := int64(0)
	if err := filepath.WalkDir(filepath.Join(root, "export"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("an export of %d MiB", size>>20)
	if size < largeBytes {
		t.Errorf("the export has %d MiB, which tell nothing of a ceiling of %d MiB", size>>20, memoryCeiling>>20)
	}
}

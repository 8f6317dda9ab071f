package parquet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

// TestEndlessFile: one flipped bit makes the library decode for ever. The
// reader gives up on the file, and at once when it is told to.
func TestEndlessFile(t *testing.T) {
	damaged, err := os.ReadFile("testdata/delta.parquet")
	if err != nil {
		t.Fatal(err)
	}
	damaged[8] ^= 1
	read := func(ctx context.Context, stall time.Duration) (err error) {
		r, err := NewReader(bytes.NewReader(damaged))
		if err != nil {
			t.Fatal(err)
		}
		r.stall = stall
		for _, err = range r.Rows(ctx, "caption", "image") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := read(t.Context(), 50*time.Millisecond); !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := read(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

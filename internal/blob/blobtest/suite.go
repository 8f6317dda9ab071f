// Package blobtest is the conformance suite of object stores: what every
// [blob.Store] does, whatever it is made of.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// TestStore runs the suite; open returns an empty store for each call.
func TestStore(t *testing.T, open func(testing.TB) blob.Store) {
	t.Run("what is put is read back", func(t *testing.T) {
		s := open(t)
		for _, key := range []string{"a", "deep/er/key.txt", "sp ace", "pl+us", "per%20cent", "ünï/код", "q?x=1&y#z", "-dash", strings.Repeat("k", 200)} {
			body := []byte("content of " + key)
			if err := blob.PutBytes(t.Context(), s, key, body, blob.PutOptions{CreateOnly: true, Digest: irgdata.DigestOf(body)}); err != nil {
				t.Fatal(err)
			}
			got, err := blob.ReadVerified(t.Context(), s, key, int64(len(body)), irgdata.DigestOf(body))
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%q: got %q, %v", key, got, err)
			}
			o, err := s.Stat(t.Context(), key)
			if err != nil || o.Key != key || o.Size != int64(len(body)) || o.ModTime.IsZero() {
				t.Errorf("%q: got %+v, %v", key, o, err)
			}
		}
	})
	t.Run("an empty object", func(t *testing.T) {
		s := open(t)
		if err := blob.PutBytes(t.Context(), s, "empty", nil, blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if got, err := blob.ReadAll(t.Context(), s, "empty", 10); err != nil || len(got) != 0 {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("ranges", func(t *testing.T) {
		s := open(t)
		put(t, s, "range", "0123456789")
		for _, tc := range []struct {
			offset, length int64
			want           string
		}{{0, -1, "0123456789"}, {0, 3, "012"}, {4, 3, "456"}, {8, 10, "89"}, {9, 1, "9"}, {7, -1, "789"}} {
			r, err := s.Open(t.Context(), "range", tc.offset, tc.length)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil || string(got) != tc.want {
				t.Errorf("%d+%d: got %q, %v, want %q", tc.offset, tc.length, got, err, tc.want)
			}
		}
		if r, err := s.Open(t.Context(), "range", 11, 1); err == nil {
			r.Close()
			t.Error("an offset past the end opened")
		}
	})
	t.Run("absent objects", func(t *testing.T) {
		s := open(t)
		put(t, s, "dir/object", "x")
		for _, key := range []string{"absent", "dir", "dir/object/below"} {
			if r, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, blob.ErrNotExist) {
				if err == nil {
					r.Close()
				}
				t.Errorf("open %q: got %v, want ErrNotExist", key, err)
			}
			if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("stat %q: got %v, want ErrNotExist", key, err)
			}
		}
		if err := s.Delete(t.Context(), "absent"); err != nil {
			t.Errorf("delete of an absent object: %v", err)
		}
	})
	t.Run("delete", func(t *testing.T) {
		s := open(t)
		put(t, s, "gone", "x")
		for range 2 {
			if err := s.Delete(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Stat(t.Context(), "gone"); !errors.Is(err, blob.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("create only", func(t *testing.T) {
		s := open(t)
		put(t, s, "once", "first")
		if err := blob.PutBytes(t.Context(), s, "once", []byte("second"), blob.PutOptions{CreateOnly: true}); !errors.Is(err, blob.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
		if got := read(t, s, "once"); got != "first" {
			t.Errorf("the object became %q", got)
		}
		put(t, s, "once", "third") // without the condition it is replaced
		if got := read(t, s, "once"); got != "third" {
			t.Errorf("the object is %q", got)
		}
	})
	t.Run("of many creators one wins", func(t *testing.T) {
		s := open(t)
		var won atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				body := fmt.Sprintf("creator %d", i)
				err := blob.PutBytes(t.Context(), s, "race", []byte(body), blob.PutOptions{CreateOnly: true})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(body)
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || read(t, s, "race") != winner.Load() {
			t.Errorf("%d creators won", won.Load())
		}
	})
	t.Run("a long body of unknown size", func(t *testing.T) {
		s := open(t)
		const size = 18<<20 + 12345 // several parts of a multipart upload
		sum := irgdata.DigestOf(pattern(size))
		// HalfReader hides the length and the kind of the body.
		if err := s.Put(t.Context(), "long", iotest.HalfReader(bytes.NewReader(pattern(size))), blob.PutOptions{CreateOnly: true, Digest: sum}); err != nil {
			t.Fatal(err)
		}
		if _, err := blob.ReadVerified(t.Context(), s, "long", size, sum); err != nil {
			t.Error(err)
		}
		if err := s.Put(t.Context(), "long", iotest.HalfReader(bytes.NewReader(pattern(size))), blob.PutOptions{CreateOnly: true}); !errors.Is(err, blob.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
	})
	t.Run("a failed put leaves nothing", func(t *testing.T) {
		broken := errors.New("the source broke")
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for _, tc := range []struct {
			name string
			put  func(s blob.Store) error
		}{
			{"short body breaks", func(s blob.Store) error {
				return s.Put(t.Context(), "failed", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), blob.PutOptions{})
			}},
			{"long body breaks", func(s blob.Store) error {
				return s.Put(t.Context(), "failed", io.MultiReader(bytes.NewReader(pattern(12<<20)), iotest.ErrReader(broken)), blob.PutOptions{})
			}},
			{"wrong size", func(s blob.Store) error {
				return s.Put(t.Context(), "failed", strings.NewReader("four"), blob.PutOptions{Size: 5})
			}},
			{"wrong digest", func(s blob.Store) error {
				return s.Put(t.Context(), "failed", strings.NewReader("four"), blob.PutOptions{Digest: irgdata.DigestOf([]byte("five"))})
			}},
			{"wrong digest of a long body", func(s blob.Store) error {
				return s.Put(t.Context(), "failed", bytes.NewReader(pattern(12<<20)), blob.PutOptions{Digest: irgdata.DigestOf([]byte("five"))})
			}},
			{"cancelled", func(s blob.Store) error {
				return s.Put(cancelled, "failed", strings.NewReader("four"), blob.PutOptions{})
			}},
		} {
			s := open(t)
			if err := tc.put(s); err == nil {
				t.Errorf("%s: the put succeeded", tc.name)
			}
			if keys := list(t, s, ""); len(keys) != 0 {
				t.Errorf("%s: left %v", tc.name, keys)
			}
		}
	})
	t.Run("list", func(t *testing.T) {
		s := open(t)
		keys := []string{"a", "b-1", "b/1", "b/2/x", "b0", "bb/1", "c/ü"}
		for _, key := range slices.Backward(keys) {
			put(t, s, key, key)
		}
		for prefix, want := range map[string][]string{
			"":     keys,
			"b":    {"b-1", "b/1", "b/2/x", "b0", "bb/1"},
			"b/":   {"b/1", "b/2/x"},
			"b/2":  {"b/2/x"},
			"c/":   {"c/ü"},
			"none": nil,
		} {
			if got := list(t, s, prefix); !slices.Equal(got, want) {
				t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
			}
		}
		for o, err := range s.List(t.Context(), "") { // broken off early
			if err != nil || o.Key != "a" || o.Size != 1 {
				t.Errorf("got %+v, %v", o, err)
			}
			break
		}
	})
	t.Run("a list of many pages", func(t *testing.T) {
		s := open(t)
		const n = 1100 // S3 gives a thousand a page
		for i := range n {
			put(t, s, fmt.Sprintf("many/%04d", i), "x")
		}
		if got := list(t, s, "many/"); len(got) != n || !slices.IsSorted(got) {
			t.Errorf("got %d keys, sorted %v", len(got), slices.IsSorted(got))
		}
	})
	t.Run("keys that no store takes", func(t *testing.T) {
		s := open(t)
		for _, key := range []string{"", "/abs", "a//b", "../up", "a/../../up", "a/.", "end/", "nul\x00", "bad\xff", strings.Repeat("k", 2000)} {
			if err := blob.PutBytes(t.Context(), s, key, []byte("x"), blob.PutOptions{}); err == nil {
				t.Errorf("%q was put", key)
			}
			if _, err := s.Stat(t.Context(), key); err == nil {
				t.Errorf("%q has a state", key)
			}
		}
	})
	t.Run("sweep spares objects", func(t *testing.T) {
		s := open(t)
		put(t, s, "kept/1", "x")
		if _, err := s.Sweep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, "kept/1"); got != "x" {
			t.Errorf("got %q", got)
		}
	})
}

func put(t testing.TB, s blob.Store, key, body string) {
	t.Helper()
	if err := blob.PutBytes(t.Context(), s, key, []byte(body), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, s blob.Store, key string) string {
	t.Helper()
	b, err := blob.ReadAll(t.Context(), s, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func list(t testing.TB, s blob.Store, prefix string) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// pattern returns n bytes in which no two parts are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

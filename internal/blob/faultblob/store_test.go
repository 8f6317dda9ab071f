package faultblob_test

import (
	"errors"
	"testing"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/blob/blobtest"
	"github.com/irgdata/irgdata/internal/blob/faultblob"
)

func below(t testing.TB) blob.Store {
	t.Helper()
	s, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWithoutFaults(t *testing.T) {
	blobtest.TestStore(t, func(t testing.TB) blob.Store {
		return faultblob.New(below(t), func(int, string) faultblob.Fault { return faultblob.None })
	})
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		fault   faultblob.Fault
		visible bool // after the failed put
	}{
		{"before", faultblob.Before, false},
		{"midway", faultblob.Midway, false},
		{"lost answer", faultblob.After, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := below(t)
			s := faultblob.New(base, faultblob.Nth(0, tc.fault))
			err := blob.PutBytes(t.Context(), s, "k", []byte("content"), blob.PutOptions{CreateOnly: true})
			if !errors.Is(err, faultblob.ErrInjected) {
				t.Fatalf("got %v", err)
			}
			_, err = base.Stat(t.Context(), "k")
			if visible := err == nil; visible != tc.visible {
				t.Errorf("visible %v, want %v (%v)", visible, tc.visible, err)
			}
			// The second attempt meets no fault; what landed is found.
			err = blob.PutBytes(t.Context(), s, "k", []byte("content"), blob.PutOptions{CreateOnly: true})
			if exists := errors.Is(err, blob.ErrExists); exists != tc.visible || err != nil && !exists {
				t.Errorf("the second put gave %v", err)
			}
			if s.Operations() != 2 {
				t.Errorf("%d operations, want 2", s.Operations())
			}

			s = faultblob.New(base, faultblob.Nth(0, tc.fault))
			if b, err := blob.ReadAll(t.Context(), s, "k", 100); !errors.Is(err, faultblob.ErrInjected) {
				t.Errorf("read %q, %v", b, err)
			}
		})
	}
}

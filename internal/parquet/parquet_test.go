package parquet_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/internal/parquet"
)

var columns = []parquet.Column{
	{Name: "text", Kind: parquet.String}, {Name: "count", Kind: parquet.Int64}, {Name: "score", Kind: parquet.Float64},
	{Name: "keep", Kind: parquet.Bool}, {Name: "image", Kind: parquet.Picture},
}

var names = []string{"text", "count", "score", "keep", "image"}

func row(i int) parquet.Row {
	r := parquet.Row{fmt.Sprintf("text %d", i), int64(i), float64(i) / 2, i%2 == 0, parquet.Image{Bytes: bytes.Repeat([]byte{byte(i)}, i), Path: fmt.Sprintf("%d.png", i)}}
	switch {
	case i == 0:
		r[0], r[4] = "", parquet.Image{Bytes: []byte{}}
	case i%7 == 0:
		r[4] = nil
	}
	return r
}

func write(t testing.TB, n int, o parquet.WriterOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := parquet.NewWriter(&b, columns, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Write(row(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Rows() != int64(n) {
		t.Errorf("counted %d rows, want %d", w.Rows(), n)
	}
	return b.Bytes()
}

// readAll reads every cell of a file.
func readAll(t testing.TB, encoded []byte) (rows []parquet.Row, err error) {
	r, err := parquet.NewReader(bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, c := range r.Columns() {
		all = append(all, c.Name)
	}
	for row, err := range r.Rows(t.Context(), all...) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 8, 9, 100} {
		encoded := write(t, n, parquet.WriterOptions{Rows: 30})
		if again := write(t, n, parquet.WriterOptions{Rows: 30}); !bytes.Equal(encoded, again) {
			t.Errorf("%d rows: the same rows gave other bytes", n)
		}
		r, err := parquet.NewReader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(columns, r.Columns()); diff != "" {
			t.Error(diff)
		}
		var want, got []parquet.Row
		for i := range n {
			want = append(want, row(i))
		}
		for row, err := range r.Rows(t.Context(), names...) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d rows: %s", n, diff)
		}
	}
}

func TestRowGroups(t *testing.T) {
	groups := func(encoded []byte) []int64 {
		r, err := parquet.NewReader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		return r.RowGroups()
	}
	if got := groups(write(t, 100, parquet.WriterOptions{Rows: 30})); !slices.Equal(got, []int64{30, 30, 30, 10}) {
		t.Errorf("by rows: got %v", got)
	}
	if got := groups(write(t, 100, parquet.WriterOptions{Bytes: 2000})); len(got) < 3 || len(got) > 10 {
		t.Errorf("by bytes: got %v", got)
	}
}

func TestColumnsOfChoice(t *testing.T) {
	r, err := parquet.NewReader(bytes.NewReader(write(t, 3, parquet.WriterOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range r.Rows(t.Context(), "image", "text") {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := row[0].(parquet.Image); !ok || row[1] != "" {
			t.Errorf("got %v", row)
		}
		break
	}
	for _, err := range r.Rows(t.Context(), "absent") {
		if err == nil {
			t.Error("an absent column was read")
		}
	}
}

func TestWrongCells(t *testing.T) {
	w, err := parquet.NewWriter(new(bytes.Buffer), columns, parquet.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range columns {
		bad := row(1)
		bad[i] = struct{}{}
		if err := w.Write(bad); err == nil {
			t.Errorf("column %s took a struct", columns[i].Name)
		}
	}
	if err := w.Write(row(1)[:2]); err == nil {
		t.Error("a short row was taken")
	}
}

func TestTextsAreUTF8(t *testing.T) {
	var b bytes.Buffer
	w, err := parquet.NewWriter(&b, columns[:1], parquet.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(parquet.Row{"caf\xe9"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := readAll(t, b.Bytes())
	if diff := cmp.Diff([]parquet.Row{{"caf\ufffd"}}, rows); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// brokenOnce fails its n-th write and takes every other.
type brokenOnce struct{ n int }

var errBroken = errors.New("disk full")

func (b *brokenOnce) Write(p []byte) (int, error) {
	b.n--
	if b.n == 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestWriteErrorsStick: whichever write fails, the writer says so at the end.
func TestWriteErrorsStick(t *testing.T) {
	for n := 1; ; n++ {
		sink := &brokenOnce{n: n}
		w, err := parquet.NewWriter(sink, columns, parquet.WriterOptions{Rows: 10})
		for i := 0; err == nil && i < 25; i++ {
			err = w.Write(row(i))
		}
		if err == nil {
			err = w.Close()
		}
		if sink.n > 0 { // no write failed: each has had its turn
			if err != nil || n < 10 {
				t.Errorf("after %d writes: %v", n, err)
			}
			return
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("write %d failed and the writer gave %v", n, err)
		}
	}
}

// TestDamage: no cut and no flipped byte makes the reader panic.
func TestDamage(t *testing.T) {
	whole := write(t, 20, parquet.WriterOptions{Rows: 7})
	for i := 0; i < len(whole); i += 7 {
		if _, err := readAll(t, whole[:i]); err == nil {
			t.Fatalf("the first %d of %d bytes were read as a file", i, len(whole))
		}
		flipped := slices.Clone(whole)
		flipped[i] ^= 0x55
		_, _ = readAll(t, flipped) // any outcome but a panic
	}
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, 3, parquet.WriterOptions{Rows: 2}))
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		_, _ = readAll(t, encoded) // any outcome but a panic
	})
}

// TestPathsAlone: the paths of pictures are read without the pictures.
func TestPathsAlone(t *testing.T) {
	r, err := parquet.NewReader(bytes.NewReader(write(t, 20, parquet.WriterOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for got, err := range r.Rows(t.Context(), "image.path", "text") {
		if err != nil {
			t.Fatal(err)
		}
		want := any(nil)
		if picture, ok := row(i)[4].(parquet.Image); ok {
			want = picture.Path
		}
		if got[0] != want || got[1] != row(i)[0] {
			t.Errorf("row %d: got %v, want path %v", i, got, want)
		}
		i++
	}
	for _, err := range r.Rows(t.Context(), "text.path") {
		if err == nil {
			t.Error("a text has a path")
		}
	}
}

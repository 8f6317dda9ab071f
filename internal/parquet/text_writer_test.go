package parquet_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata/internal/parquet"
)

// random gives n bytes that nothing compresses.
func random(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	return data
}

func encode(data []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(data)) }

// data takes each way through the form: all kinds of a block and of its sizes, and
// across the bounds of blocks and pages.
func data() [][]byte {
	all := [][]byte{nil, []byte("a"), bytes.Repeat([]byte("aaa"), 60<<10), []byte(strings.Repeat("grün ", 100))}
	for _, n := range []int{95, 96, 97, 767, 768, 4095, 4096, 4103, 4104, 4105, 4109, 12<<10 - 1, 12 << 10, 96<<10 - 1, 96 << 10, 96<<10 + 1, 3 << 20} {
		all = append(all, random(n))
	}
	return all
}

// TestTexts writes texts in parts that are plain and parts that are packed, and
// reads them back with the library.
func TestTexts(t *testing.T) {
	var want []string
	write := func() []byte {
		want = nil
		var out bytes.Buffer
		w, err := parquet.NewTextWriter(&out, "text")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 4, len(data())} {
			var rows []parquet.Text
			for _, d := range data()[:n] {
				text, packed := encode(d), parquet.PackBase64(d)
				rows = append(rows, parquet.Text{{Plain: text}}, parquet.Text{{Packed: packed}},
					parquet.Text{{Plain: []byte("<")}, {Packed: packed}, {Plain: []byte(">")}, {Packed: packed}, {Packed: packed}})
				want = append(want, string(text), string(text), fmt.Sprintf("<%s>%s%s", text, text, text))
			}
			if err := w.WriteGroup(rows); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if w.Rows() != int64(len(want)) || w.RowGroups() != 3 {
			t.Errorf("counted %d rows in %d groups, want %d in 3", w.Rows(), w.RowGroups(), len(want))
		}
		return out.Bytes()
	}
	encoded := write()
	if !bytes.Equal(encoded, write()) {
		t.Error("the same rows gave other bytes")
	}
	rows, err := readAll(t, encoded)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, row[0].(string))
	}
	if !slices.Equal(got, want) {
		t.Error("other texts came back")
	}
}

// TestPackedSize: base64 comes to the size of its data, and no text grows by more
// than the headers of its blocks.
func TestPackedSize(t *testing.T) {
	size := func(part parquet.Part) int {
		var out bytes.Buffer
		w, err := parquet.NewTextWriter(&out, "text")
		if err == nil {
			err = w.WriteGroup([]parquet.Text{{part}})
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Len()
	}
	empty := size(parquet.Part{})
	if n := size(parquet.Part{Packed: parquet.PackBase64(random(1 << 20))}) - empty; n > 1<<20+1<<12 {
		t.Errorf("base64 of 1 MiB takes %d bytes", n)
	}
	spread := make([]byte, 1000) // there is nothing to gain
	for i := range spread {
		spread[i] = byte(i % 128)
	}
	for _, text := range [][]byte{[]byte("a"), spread, encode(random(300_000))} {
		if n := size(parquet.Part{Plain: text}) - empty; n > len(text)+len(text)>>15+16 {
			t.Errorf("%d bytes take %d", len(text), n)
		}
	}
}

// TestTextWriteErrorsStick: whichever write fails, the writer says so at the end.
func TestTextWriteErrorsStick(t *testing.T) {
	for n := 1; ; n++ {
		sink := &brokenOnce{n: n}
		w, err := parquet.NewTextWriter(sink, "text")
		for i := 0; err == nil && i < 3; i++ {
			err = w.WriteGroup([]parquet.Text{{{Plain: encode(random(200))}}})
		}
		if err == nil {
			err = w.Close()
		}
		if sink.n > 0 {
			if err != nil || n < 8 {
				t.Errorf("after %d writes: %v", n, err)
			}
			return
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("write %d failed and the writer gave %v", n, err)
		}
	}
}

// BenchmarkPackBase64 measures by the bytes of the data; encoding/base64 alone is
// the peer.
func BenchmarkPackBase64(b *testing.B) {
	data := random(390_000)
	b.Run("packed", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			parquet.PackBase64(data)
		}
	})
	b.Run("base64 alone", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		out := make([]byte, base64.StdEncoding.EncodedLen(len(data)))
		for b.Loop() {
			base64.StdEncoding.Encode(out, data)
		}
	})
}

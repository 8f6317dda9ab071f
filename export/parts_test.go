package export

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
)

// manyPairs are items of which some are rejects.
func manyPairs(numbers []int) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		for _, n := range numbers {
			item := irgdata.Item[irgdata.Pair]{Value: irgdata.Pair{Key: fmt.Sprint(n)}}
			if n%7 == 0 {
				item = irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: item.Value, Rule: "image"}}
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

func numbersWithout(n int, out ...int) (numbers []int) {
	for i := range n {
		if len(out) == 0 || i != out[0] {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

func noneKnown(irgdata.Digest) bool { return false }

func cuts(t *testing.T, numbers []int, known func(irgdata.Digest) bool) (parts []irgdata.Cut, items int) {
	t.Helper()
	key := irgdata.DigestOf([]byte("settings"))
	for item, err := range Cut(manyPairs(numbers), key, PartSizes{Least: 10, Mean: 40, Most: 160}, known) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Cut == nil {
			items++
			continue
		}
		parts = append(parts, *item.Cut)
	}
	return parts, items
}

// TestCut: an item that is taken out changes few parts, wherever it is; the
// others are known, and their items are not in the sequence.
func TestCut(t *testing.T) {
	const n = 2000
	all, items := cuts(t, numbersWithout(n), noneKnown)
	if items != n || len(all) < 20 {
		t.Fatalf("%d items in %d parts", items, len(all))
	}
	known := map[irgdata.Digest]bool{}
	for _, cut := range all {
		known[cut.Part] = true
	}
	if len(known) != len(all) {
		t.Errorf("%d of %d parts are told apart", len(known), len(all))
	}
	changed := 0
	for out := 0; out < n; out += 50 {
		parts, items := cuts(t, numbersWithout(n, out), func(d irgdata.Digest) bool { return known[d] })
		fresh := 0
		for _, cut := range parts {
			if !cut.Known {
				fresh++
			}
		}
		changed += fresh
		if fresh == 0 || items > 5*160 {
			t.Errorf("without item %d: %d of %d parts are new, with %d items", out, fresh, len(parts), items)
		}
	}
	if changed > 2*n/50 {
		t.Errorf("%d parts changed in %d changes", changed, n/50)
	}
	if parts, items := cuts(t, numbersWithout(n), func(irgdata.Digest) bool { return true }); items != 0 || len(parts) != len(all) {
		t.Errorf("of known parts %d items came", items)
	}
	if parts, _ := cuts(t, nil, noneKnown); len(parts) != 0 {
		t.Errorf("nothing has parts %v", parts)
	}
}

// TestCutBoundsMemory: a part of very long prompts ends early.
func TestCutBoundsMemory(t *testing.T) {
	long := irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{Pair: irgdata.Pair{Prompt: strings.Repeat("x", 1<<20)}}}
	items := func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		for range 100 {
			if !yield(long, nil) {
				return
			}
		}
	}
	held, most := 0, 0
	for item, err := range Cut(items, irgdata.Digest{}, DefaultPartSizes(), noneKnown) {
		if err != nil {
			t.Fatal(err)
		}
		if held++; item.Cut != nil {
			held = 0
		}
		most = max(most, held)
	}
	if most != 32 {
		t.Errorf("%d prompts of 1 MiB were held at a time, want 32", most)
	}
}

// TestItemDigest: each field of an item changes the digest.
func TestItemDigest(t *testing.T) {
	seen := map[irgdata.Digest]string{}
	see := func(what string, item irgdata.Item[irgdata.Pair]) {
		d := itemDigest(item)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", what, other)
		}
		seen[d] = what
	}
	see("nothing", irgdata.Item[irgdata.Pair]{})
	see("reject", irgdata.Item[irgdata.Pair]{Reject: &irgdata.Reject{}})
	var pair irgdata.Pair
	eachField(t, reflect.ValueOf(&pair).Elem(), "pair", func(what string) { see(what, irgdata.Item[irgdata.Pair]{Value: pair}) })
	var reject irgdata.Reject
	eachField(t, reflect.ValueOf(&reject).Elem(), "reject", func(what string) { see(what, irgdata.Item[irgdata.Pair]{Reject: &reject}) })
}

// eachField sets one field at a time, also those of structures within.
func eachField(t *testing.T, v reflect.Value, name string, see func(string)) {
	t.Helper()
	for i := range v.NumField() {
		f, what := v.Field(i), name+"."+v.Type().Field(i).Name
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int, reflect.Int64:
			f.SetInt(1)
		case reflect.Float64:
			f.SetFloat(1)
		case reflect.Array: // a digest
			f.Index(0).SetUint(1)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"x"}))
		case reflect.Struct:
			eachField(t, f, what, see)
			continue
		case reflect.Pointer: // what the filters made of it, later
			continue
		default:
			t.Fatalf("%s is a %s", what, f.Kind())
		}
		see(what)
		f.SetZero()
	}
}

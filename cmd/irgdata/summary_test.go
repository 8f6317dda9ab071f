package main

import (
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// TestReasonTableSaysWhatItShows: examples are of what was looked at, and none of
// what a refresh took over.
func TestReasonTableSaysWhatItShows(t *testing.T) {
	c := manifests.Counts{Reasons: []manifests.ReasonCount{{Stage: "ingest", Rule: "image", Count: 2}, {Stage: "filter", Rule: "size", Count: 1}}}
	image := irgdata.Reject{Pair: irgdata.Pair{Key: "1.jpg"}, Stage: "ingest", Rule: "image", Reason: "it does not decode"}
	size := irgdata.Reject{Pair: irgdata.Pair{Key: "2.jpg"}, Stage: "filter", Rule: "size", Reason: "it is small"}
	for _, tc := range []struct {
		name string
		seen []irgdata.Reject
		want string
	}{
		{"all", []irgdata.Reject{image, size}, `  rejected items, and one of each kind
  2  ingest  image  1.jpg: it does not decode
  1  filter  size   2.jpg: it is small

`},
		{"some taken over", []irgdata.Reject{image}, `  rejected items, and one of each kind that is not taken over
  2  ingest  image  1.jpg: it does not decode
  1  filter  size   

`},
	} {
		e := newExamples()
		for _, r := range tc.seen {
			e.reject(r)
		}
		var out strings.Builder
		if reasonTable(&out, c, e.byReason); out.String() != tc.want {
			t.Errorf("%s: got\n%s", tc.name, out.String())
		}
	}
}

// TestSettingChange: a setting that was not there is a dash.
func TestSettingChange(t *testing.T) {
	if got := settingChange(manifests.SettingChange{Name: "select.prefer", After: "hash"}, 40); got != "select.prefer: – → hash" {
		t.Errorf("got %q", got)
	}
}

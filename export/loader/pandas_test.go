package loader

import (
	"strings"
	"testing"
)

// TestInFrame: what pyarrow 19 and pandas 2.2 make of pandas metadata; "index"
// and "raises" stand for no column.
func TestInFrame(t *testing.T) {
	const (
		column  = `{"name":"conversation","field_name":"conversation","pandas_type":"unicode","numpy_type":"object"}`
		k       = `{"name":"k","field_name":"k","pandas_type":"int64","numpy_type":"int64"}`
		whole   = `{"kind":"range","name":null,"start":0,"stop":2,"step":1}`
		unicode = `{"name":null,"pandas_type":"unicode","numpy_type":"object"}`
	)
	meta := func(index, columns, names string) string {
		return `{"index_columns":[` + index + `],"columns":[` + columns + `],"column_indexes":[` + names + `]}`
	}
	other := func(dtype string) string {
		return column + `,{"name":"zz","field_name":"zz","pandas_type":"x","numpy_type":` + dtype + `}`
	}
	for _, c := range []struct {
		metadata string
		columns  string
		want     string
	}{
		{`null`, "conversation", "conversation"},
		{`null`, "k", ""},
		{`null`, "conversation conversation", "twice"},
		{``, "conversation", "raises"},
		{`not json`, "conversation", "raises"},
		{"\ufeff{}", "conversation", "raises"},
		{"\xff", "conversation", "raises"},
		{`[]`, "conversation", "raises"},
		{`{}`, "conversation", "raises"},
		{`{"index_columns":[],"columns":[]}`, "conversation", "conversation"},
		{`{"index_columns":[],"columns":[],"column_indexes":null}`, "conversation", "raises"},
		{meta(``, column, unicode), "conversation", "conversation"},
		{meta(`"conversation"`, column, unicode), "k conversation", "index"},
		{meta(`"k","conversation"`, k+","+column, unicode), "k conversation", "index"},
		{meta(`"conversation","conversation"`, column, unicode), "conversation", "raises"},
		{meta(`"k"`, k+","+column, unicode), "k conversation", "conversation"},
		{meta(`"k"`, k+","+column, unicode), "conversation", "conversation"},
		{meta(`"nothere"`, column, unicode), "conversation", "raises"},
		{meta(whole, column, unicode), "conversation", "conversation"},
		{meta(`{"kind":"range","name":null,"start":0,"step":1}`, column, unicode), "conversation", "raises"},
		{meta(`{"kind":"x"}`, column, unicode), "conversation", "raises"},
		{meta(`1`, column, unicode), "conversation", "raises"},
		{meta(``, strings.Replace(column, `"name":"conversation"`, `"name":"x"`, 1), unicode), "conversation", ""},
		{meta(``, strings.Replace(column, `"name":"conversation"`, `"name":null`, 1), unicode), "conversation", ""},
		{meta(``, strings.Replace(column, `"field_name":"conversation"`, `"field_name":"a"`, 1), unicode), "a", "a"},
		{meta(``, strings.Replace(column, `"field_name":"conversation"`, `"field_name":"a"`, 1), unicode), "a conversation", "twice"},
		{meta(``, strings.Replace(column, `"field_name":"conversation",`, ``, 1), unicode), "conversation", "conversation"},
		{meta(``, strings.Replace(column, `"name":"conversation",`, ``, 1), unicode), "conversation", "raises"},
		{meta(``, strings.Replace(column, `"pandas_type":"unicode",`, ``, 1), unicode), "conversation", "raises"},
		{meta(``, strings.Replace(column, `,"numpy_type":"object"`, ``, 1), unicode), "conversation", "raises"},
		{meta(``, `1`, unicode), "conversation", "raises"},
		{meta(``, other(`"category"`), unicode), "conversation", "conversation"},
		{meta(``, other(`"Int64"`), unicode), "conversation", "conversation"},
		{meta(``, other(`"datetime64[ns, UTC]"`), unicode), "conversation", "conversation"},
		{meta(``, other(`null`), unicode), "conversation", "conversation"},
		{meta(``, other(`"geometry"`), unicode), "conversation", "raises"},
		{meta(``, other(`"dbdate"`), unicode), "conversation", "raises"},
		{meta(``, other(`""`), unicode), "conversation", "raises"},
		{meta(``, column, unicode+","+unicode), "conversation", "raises"},
		{meta(``, column, `{"name":null,"pandas_type":"mixed-integer","numpy_type":"object"}`), "conversation", "conversation"},
		{meta(``, column, `{"name":null,"pandas_type":"int64","numpy_type":"int64"}`), "conversation", "raises"},
		{meta(``, column, `{"name":null,"pandas_type":"unicode"}`), "conversation", "raises"},
		{meta(``, column, `{}`), "conversation", "raises"},
	} {
		got, lost := inFrame(strings.Fields(c.columns), c.metadata)
		switch {
		case lost != nil && lost.Rule == RuleGroup:
			got = "raises"
		case lost != nil && strings.Contains(lost.Detail, "index"):
			got = "index"
		case lost != nil:
			got = "twice"
		}
		if got != c.want {
			t.Errorf("%s of %s: got %q, want %q (%+v)", c.metadata, c.columns, got, c.want, lost)
		}
	}
}

// TestKnownZone: as pyarrow 19 with pytz.
func TestKnownZone(t *testing.T) {
	for zone, want := range map[string]bool{
		"": true, "UTC": true, "utc": true, "Europe/Zurich": true, "US/Pacific": true, "Etc/GMT+5": true, "+01:00": true, "-23:59": true,
		"Mars/Olympus": false, "+24:00": false, "+0100": false, "+1:00": false, "GMT+5": false, "UTC+1": false, "Z": false, " UTC": false, "Local": false, "../etc": false,
	} {
		if got := knownZone(zone); got != want {
			t.Errorf("%q: got %t, want %t", zone, got, want)
		}
	}
}

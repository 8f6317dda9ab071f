package parquet

import (
	"bytes"
	"os"
	"testing"
)

// FuzzArrowZones: no Arrow schema in a footer makes its reader panic or go on for
// ever.
func FuzzArrowZones(f *testing.F) {
	for _, name := range []string{"time-zone", "time-zone-in-a-list", "time-zone-in-a-struct", "many-kinds"} {
		encoded, err := os.ReadFile("../../export/loader/testdata/frames/" + name + ".parquet")
		if err != nil {
			f.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(encoded))
		if err != nil {
			f.Fatal(err)
		}
		schema, ok := r.Metadata("ARROW:schema")
		if zones, err := r.TimeZones(); !ok || err != nil || name == "time-zone" && len(zones) == 0 {
			f.Fatalf("%s: %v, %v", name, zones, err)
		}
		f.Add(schema)
	}
	f.Fuzz(func(t *testing.T, schema string) {
		if zones, err := arrowZones(schema); err == nil && len(zones) > maxArrowFields {
			t.Errorf("%d zones", len(zones))
		}
	})
}

package images_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// TestMutants: images that are cut off or changed in their headers are refused
// where Pillow, as the official loader sets it, raises, and have the size that
// Pillow gives them where it does not. testdata/mutants.py recorded it.
func TestMutants(t *testing.T) {
	text, err := os.ReadFile("testdata/mutants.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lost, read, unlike := 0, 0, 0
	for line := range bytes.Lines(text) {
		var m struct {
			File    string
			Cut     int
			Changes [][2]int
			Size    []int
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		encoded, err := os.ReadFile(filepath.Join("testdata", m.File))
		if err != nil {
			t.Fatal(err)
		}
		encoded = encoded[:m.Cut]
		for _, change := range m.Changes {
			encoded[change[0]] = byte(change[1])
		}
		info, err := images.Inspect(encoded, "")
		_, damage := images.Decode(encoded)
		undecoded := errors.Is(damage, images.ErrUnsupported)
		if err == nil && info.LostIfDamaged() && !undecoded {
			err = damage
		}
		switch {
		case (m.Size == nil) != (err != nil) && (info.Format == irgdata.FormatTIFF && info.LostIfDamaged() || strings.HasPrefix(m.File, "animated") || undecoded):
			// libtiff minds other damage than the decoder here, and Pillow no
			// frame after the first.
			unlike++
		case m.Size == nil && err == nil:
			t.Errorf("%s: accepted, and Pillow raises", bytes.TrimSpace(line))
		case m.Size == nil:
			lost++
		case err != nil && strings.Contains(err.Error(), "has no place on the canvas"):
			// Pillow opens it; here it is refused as a bomb.
		case err != nil:
			t.Errorf("%s: Pillow opens it: %v", bytes.TrimSpace(line), err)
		case info.Width != m.Size[0] || info.Height != m.Size[1]:
			t.Errorf("%s: has %d×%d pixels", bytes.TrimSpace(line), info.Width, info.Height)
		default:
			read++
		}
	}
	if lost < 200 || read < 200 {
		t.Errorf("%d are lost and %d read: want some hundreds of both", lost, read)
	}
	if unlike > 20 {
		t.Errorf("of TIFF, animations and what is not decoded here, %d differ", unlike)
	}
}

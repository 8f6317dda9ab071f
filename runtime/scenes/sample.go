package scenes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

//go:embed sample
var bundled embed.FS

// SampleFS returns the bundled pairs: 96 images with captions in files of
// equal name, as [WriteSamples] writes them. The last six are bad on purpose,
// to show rejects: a duplicate, two captions from outside of this world, a
// truncated image, a tiny one and an empty caption.
func SampleFS() fs.FS {
	sub, err := fs.Sub(bundled, "sample")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// Sample returns the i-th pair of an endless collection for each seed: a
// caption and the high-quality picture of 256x256 pixels that answers it.
func Sample(seed uint64, i int) (caption string, img image.Image) {
	d := cast("sample", seed, strconv.Itoa(i))
	s := randomScene(d)
	p, err := decide(s)
	if err != nil {
		panic(err) // randomScene throws what decide can place
	}
	return s.phrase(d), Draw(p, defaultSide, defaultSide)
}

// sampleQuality is that of the JPEG images of samples.
const sampleQuality = 90

// WriteSamples writes the first n pairs of a seed into the folder, which it
// makes if need be: 000001.jpg with 000001.txt, and so on. A file that is there
// and holds something else is left alone, and is an error.
func WriteSamples(dir string, n int, seed uint64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	for i := range n {
		image, caption, err := encodeSample(seed, i)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, sampleName(i))
		for _, f := range []struct {
			name    string
			content []byte
		}{{name + ".jpg", image}, {name + ".txt", caption}} {
			if err := writeNew(f.name, f.content); err != nil {
				return fmt.Errorf("write sample %d: %w", i+1, err)
			}
		}
	}
	return nil
}

func writeNew(name string, content []byte) error {
	there, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.WriteFile(name, content, 0o644)
	case err == nil && !bytes.Equal(there, content):
		return fmt.Errorf("%s is there already and holds something else: choose another folder", name)
	}
	return err
}

// sampleName is the name of the i-th pair's files, without the extension.
func sampleName(i int) string { return fmt.Sprintf("%06d", i+1) }

// encodeSample returns the content of a pair's two files.
func encodeSample(seed uint64, i int) (encoded, text []byte, err error) {
	caption, img := Sample(seed, i)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: sampleQuality}); err != nil {
		return nil, nil, fmt.Errorf("encode sample %d: %w", i+1, err)
	}
	return out.Bytes(), []byte(caption + "\n"), nil
}

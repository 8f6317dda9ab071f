package images_test

import (
	"bytes"
	"crypto/sha256"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
)

// photo is a JPEG of 4000×3000 pixels, smooth with grain, as of a camera.
func photo(b *testing.B) []byte {
	b.Helper()
	grain := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, 4000, 3000))
	for y := range 3000 {
		for x := range 4000 {
			g := uint8(grain.IntN(16))
			img.SetRGBA(x, y, color.RGBA{R: uint8(x/17) + g, G: uint8(y/13) + g, B: uint8((x^y)>>5) + g, A: 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return encoded.Bytes()
}

// BenchmarkPhoto compares what a photo of 12 megapixels costs with the plain
// digest of its bytes.
func BenchmarkPhoto(b *testing.B) {
	encoded := photo(b)
	b.Run("digest", func(b *testing.B) {
		b.SetBytes(int64(len(encoded)))
		for b.Loop() {
			sha256.Sum256(encoded)
		}
	})
	b.Run("inspect", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := images.Inspect(encoded, "photo.jpg"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(encoded)))
		for b.Loop() {
			if _, err := images.Decode(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reencode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(encoded)))
		info, err := images.Inspect(encoded, "")
		if err != nil {
			b.Fatal(err)
		}
		info.Orientation = 6
		for b.Loop() {
			img, err := images.Pixels(encoded)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := images.Reencode(img, info, images.Encoding{Format: irgdata.FormatJPEG, Quality: 90}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

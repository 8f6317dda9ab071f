package pdq_test

import (
	"image"
	"image/color"
	"testing"

	"github.com/irgdata/irgdata/internal/pdq"
)

// BenchmarkHash measures pictures of 1024×1024 pixels, each kind as its
// decoder gives it.
func BenchmarkHash(b *testing.B) {
	bounds := image.Rect(0, 0, 1024, 1024)
	for name, img := range map[string]image.Image{
		"ycbcr":    image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420),
		"grey":     image.NewGray(bounds),
		"nrgba":    image.NewNRGBA(bounds),
		"paletted": image.NewPaletted(bounds, color.Palette{color.Black, color.White}),
		"gray16":   image.NewGray16(bounds), // any other kind
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pdq.Hash(img)
			}
		})
	}
}

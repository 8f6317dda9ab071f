package modes

import (
	"cmp"
	"math"
)

// Transform is an image transform of a training configuration, which decides
// how many tokens an image becomes (SFT/data/transforms.py,
// MaxLongEdgeMinShortEdgeResize).
type Transform struct {
	Stride  int `yaml:"image_stride"`   // pixels of a token's side
	MaxSide int `yaml:"max_image_size"` // the longest side, in pixels
	MinSide int `yaml:"min_image_size"` // the shortest side, in pixels
	// MaxPixels is the most pixels of all; 0 means ImageTransform's default.
	MaxPixels int `yaml:"max_pixels"`
}

// PaperTransforms are those of the paper's training configurations.
func PaperTransforms() (vae, vit Transform) {
	return Transform{Stride: 16, MaxSide: 1024, MinSide: 512}, Transform{Stride: 14, MaxSide: 980, MinSide: 378}
}

// defaultMaxPixels is ImageTransform's default for max_pixels.
const defaultMaxPixels = 14 * 14 * 9 * 1024

// Size is the size in pixels of an image of width × height after the
// transform. It repeats the official arithmetic, halves to even and the scale
// that is no square root included.
func (t Transform) Size(width, height int) (int, int) {
	w, h := float64(width), float64(height)
	scale := min(float64(t.MaxSide)/max(w, h), 1)
	scale = max(scale, float64(t.MinSide)/min(w, h))
	w, h = t.scaled(w, h, scale)
	most := float64(cmp.Or(t.MaxPixels, defaultMaxPixels))
	if w*h > most {
		w, h = t.scaled(w, h, most/(w*h))
	}
	if max(w, h) > float64(t.MaxSide) {
		w, h = t.scaled(w, h, float64(t.MaxSide)/max(w, h))
	}
	return int(w), int(h)
}

func (t Transform) scaled(w, h, scale float64) (float64, float64) {
	return t.divisible(math.RoundToEven(w * scale)), t.divisible(math.RoundToEven(h * scale))
}

func (t Transform) divisible(side float64) float64 {
	stride := float64(t.Stride)
	return max(stride, math.RoundToEven(side/stride)*stride)
}

// Tokens is the number of tokens of an image of width × height.
func (t Transform) Tokens(width, height int) int {
	w, h := t.Size(width, height)
	return w * h / (t.Stride * t.Stride)
}

// Valid reports whether the transform can be.
func (t Transform) Valid() bool {
	ok := func(n int) bool { return n >= 1 && n <= 1<<16 }
	return ok(t.Stride) && ok(t.MaxSide) && ok(t.MinSide) && t.MaxPixels >= 0
}

// MarksPerEntry is how many tokens the packer adds to each entry of the sequence
// plan: one before it and one behind.
const MarksPerEntry = 2

// ImageTokens are the tokens of an image of width × height with these flags,
// and its entries in the sequence plan, each of which costs MarksPerEntry tokens
// more (interleave_t2i_dataset.py, _add_image).
func ImageTokens(vae, vit Transform, width, height int, needLoss, needVAE, needViT bool) (entries, tokens int) {
	for _, use := range []struct {
		needed bool
		t      Transform
	}{{needLoss, vae}, {needVAE, vae}, {needViT, vit}} {
		if use.needed {
			entries++
			tokens += use.t.Tokens(width, height)
		}
	}
	return entries, tokens
}

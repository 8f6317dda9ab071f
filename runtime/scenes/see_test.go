package scenes

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
)

// recompress is what a JPEG of the quality keeps of an image.
func recompress(t testing.TB, img image.Image, quality int) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// census counts what is seen right and wrong over many pictures.
type census struct {
	objects, right, pictures, surroundings, soft int
	confusion                                    map[string]int
}

func (c *census) add(want Picture, got Picture, err error) {
	c.pictures++
	c.objects += len(want.Objects)
	if err != nil {
		c.confusion[err.Error()]++
		return
	}
	if got.Backdrop == want.Backdrop && got.Light == want.Light && got.Flat == want.Flat {
		c.surroundings++
	}
	if got.Soft == want.Soft {
		c.soft++
	}
	for _, o := range want.Objects {
		i := slices.IndexFunc(got.Objects, func(g Object) bool { return g.At == o.At })
		switch {
		case i < 0:
			c.confusion[fmt.Sprintf("%s not seen", o.Kind)]++
		case got.Objects[i].Kind == o.Kind:
			c.right++
		default:
			c.confusion[fmt.Sprintf("%s as %s", o.Kind, got.Objects[i].Kind)]++
		}
	}
	if extra := len(got.Objects) - len(want.Objects); extra > 0 {
		c.confusion["seen without being there"] += extra
	}
}

func (c *census) log(t *testing.T, name string) {
	t.Helper()
	t.Logf("%s: %d of %d objects exactly right (%.2f%%), background and light of %d and softness of %d of %d pictures",
		name, c.right, c.objects, 100*float64(c.right)/float64(c.objects), c.surroundings, c.soft, c.pictures)
	var lines []string
	for what, n := range c.confusion {
		lines = append(lines, fmt.Sprintf("  %3d × %s", n, what))
	}
	slices.Sort(lines)
	if len(lines) > 0 {
		t.Log("confusion:\n" + strings.Join(lines, "\n"))
	}
}

var pictures = flag.Int("pictures", 50, "how many pictures TestSee looks at for each of its cases")

// TestSee measures how much of a picture is seen in its JPEG.
func TestSee(t *testing.T) {
	if testing.Short() {
		t.Skip("shares mean something over many pictures alone")
	}
	for _, c := range []struct {
		name          string
		side          int
		soft, flat    bool
		objects, rest float64 // least shares
	}{
		{"256 pixels", 256, false, false, .985, .99},
		{"256 pixels, soft", 256, true, false, .97, .97},
		{"256 pixels, flat", 256, false, true, .985, .99},
		{"256 pixels, soft and flat", 256, true, true, .97, .97},
		{"512 pixels", 512, false, false, .985, .99},
		{"128 pixels", 128, false, false, .96, .96},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := cast("see", 7)
			got := census{confusion: map[string]int{}}
			for range *pictures {
				p, err := decide(randomScene(d))
				if err != nil {
					t.Fatal(err)
				}
				p.Soft = c.soft
				if c.flat {
					p.Flat, p.Light = true, Light{}
				}
				seen, err := See(recompress(t, Draw(p, c.side, c.side), 90))
				got.add(p, seen, err)
			}
			got.log(t, c.name)
			if share := float64(got.right) / float64(got.objects); share < c.objects {
				t.Errorf("%.4f of the objects are right, want %.3f", share, c.objects)
			}
			if share := float64(got.surroundings) / float64(got.pictures); share < c.rest {
				t.Errorf("background and light are right in %.4f of the pictures, want %.3f", share, c.rest)
			}
			if share := float64(got.soft) / float64(got.pictures); c.side >= 256 && share < c.rest {
				t.Errorf("softness is right in %.4f of the pictures, want %.3f", share, c.rest)
			}
		})
	}
}

// TestSeeRefuses: what is no picture of this world is not explained away.
func TestSeeRefuses(t *testing.T) {
	paint := func(at func(x, y int) color.RGBA) image.Image {
		img := image.NewRGBA(image.Rect(0, 0, 200, 160))
		for y := range 160 {
			for x := range 200 {
				img.SetRGBA(x, y, at(x, y))
			}
		}
		return img
	}
	d := cast("noise", 1)
	scene := Draw(Picture{Objects: []Object{place(Kind{Star, Red, Plain, Large}, Cell{1, 1})}, Backdrop: Backdrop{BlueTint, BlueTint}, Light: Light{Soft, FromLeft}}, 200, 160)
	for _, c := range []struct {
		name, want string
		img        image.Image
	}{
		{"noise", "border", paint(func(x, y int) color.RGBA {
			v := d.next()
			return color.RGBA{uint8(v), uint8(v >> 8), uint8(v >> 16), 255}
		})},
		{"a landscape", "border", paint(func(x, y int) color.RGBA {
			if y+x%40 < 90 {
				return color.RGBA{90, 140, 230, 255}
			}
			return color.RGBA{40, uint8(80 + (x*7+y*13)%60), 20, 255}
		})},
		{"an empty ground", "no", paint(func(x, y int) color.RGBA { return color.RGBA{206, 206, 209, 255} })},
		{"something else", "none of its objects", paint(func(x, y int) color.RGBA {
			if x > 80 && x < 110 && y > 20 && y < 140 { // a red bar
				return color.RGBA{208, 40, 44, 255}
			}
			return scene.RGBAAt(x, y)
		})},
		{"a thumbnail", "too small", image.NewGray(image.Rect(0, 0, 16, 16))},
		{"nothing", "too small", image.NewGray(image.Rect(0, 0, 0, 0))},
	} {
		p, err := See(c.img)
		if err == nil || !strings.Contains(err.Error(), "not a scene of this world") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s is seen as %+v, %v; want an error about %q", c.name, p, err, c.want)
		}
	}
}

// TestSeeOtherFormats: pixels count, not the image's type, shape or origin.
func TestSeeOtherFormats(t *testing.T) {
	p, err := decide(randomScene(cast("formats", 3)))
	if err != nil {
		t.Fatal(err)
	}
	drawn := Draw(p, 400, 300)
	shifted := image.NewNRGBA(image.Rect(7, 5, 407, 305))
	for y := range 300 {
		for x := range 400 {
			shifted.Set(x+7, y+5, drawn.At(x, y))
		}
	}
	for name, img := range map[string]image.Image{"RGBA": drawn, "shifted NRGBA": shifted, "YCbCr": recompress(t, drawn, 95)} {
		if got, err := See(img); err != nil || len(diff(p, got)) > 0 {
			t.Errorf("%s: %v, %v", name, diff(p, got), err)
		}
	}
}

// benchPictures are scenes of all sizes.
func benchPictures(b *testing.B) []Picture {
	d := cast("bench", 1)
	var list []Picture
	for range 32 {
		p, err := decide(randomScene(d))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func BenchmarkSee(b *testing.B) {
	var images []image.Image
	for _, p := range benchPictures(b) {
		images = append(images, recompress(b, Draw(p, 256, 256), 90))
	}
	for i := 0; b.Loop(); i++ {
		if _, err := See(images[i%len(images)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDraw is a 256x256 picture, drawn and encoded.
func BenchmarkDraw(b *testing.B) {
	pictures := benchPictures(b)
	for i := 0; b.Loop(); i++ {
		if _, err := encode(Draw(pictures[i%len(pictures)], 256, 256)); err != nil {
			b.Fatal(err)
		}
	}
}

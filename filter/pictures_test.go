package filter

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
)

var update = flag.Bool("update", false, "write the confusion tables into docs")

// The rules on pictures with the thresholds that docs/filters-images.md suggests.
var (
	blank       = Blank(2)
	blur        = Blur(8)
	blocked     = Blocking(0.2)
	coloured    = Cast(0.75)
	bordered    = Borders(0.15)
	smoothed    = Smoothed(0.03)
	layout      = Layout(0.1)
	enlargement = Enlargement(4)
	aspect      = Aspect(4)

	pictureRules = []Rule{blank, blur, blocked, coloured, bordered, smoothed, layout, enlargement, aspect}
)

// pair is a subject of a draft and an image that is reference and improved one.
func pair(draft, improved image.Image) *Subject {
	s := &Subject{decoded: map[irgdata.Digest]image.Image{}}
	s.Trajectory.Strategy = irgdata.Self
	fill := func(slot irgdata.Slot, img image.Image, name byte) {
		ref := irgdata.ImageRef{Digest: irgdata.Digest{name}, Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), Format: irgdata.FormatPNG}
		s.Trajectory.Slots[slot].Image = ref
		s.decoded[ref.Digest] = img
	}
	fill(irgdata.SlotDraft, draft, 1)
	fill(irgdata.SlotReference, improved, 2)
	fill(irgdata.SlotImproved, improved, 2)
	return s
}

// reason is what the rule has against the improved image.
func reason(t testing.TB, r Rule, s *Subject) string {
	t.Helper()
	value, err := r.Measure(t.Context(), s, irgdata.SlotImproved)
	if err != nil {
		t.Fatal(err)
	}
	return r.Reject(irgdata.SlotImproved, value)
}

// photos are the test photos of golang.org/x/image, which every machine that
// builds this module has.
func photos(t testing.TB) []image.Image {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/image").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []image.Image
	for _, name := range []string{"blue-purple-pink-large.png", "yellow_rose.lossy.webp", "go-turns-two-280x360.jpeg", "video-001.png"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		img, err := images.Decode(content)
		if err != nil {
			t.Fatal(err)
		}
		// The middle is enough, and soon measured.
		middle := image.Rect(0, 0, 208, 208).Add(img.Bounds().Size().Sub(image.Pt(208, 208)).Div(2))
		list = append(list, img.(interface {
			SubImage(image.Rectangle) image.Image
		}).SubImage(middle))
	}
	return list
}

func leaves() []image.Image {
	var list []image.Image
	for seed := range uint64(3) {
		list = append(list, deadLeaves(seed, 208))
	}
	return list
}

// drawings are samples of the scenes world, and the flawed drafts of them.
func drawings(t testing.TB) (samples, drafts []image.Image) {
	t.Helper()
	model := scenes.New()
	generate := func(want runtime.Output, texts ...string) runtime.Answer {
		r := runtime.Request{Want: want}
		for _, text := range texts {
			r.Context = append(r.Context, runtime.TextPart(text))
		}
		answer, err := model.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for i := range 5 {
		caption, img := scenes.Sample(5, i)
		plan := generate(runtime.Text, caption).Text
		draft, err := images.Decode(generate(runtime.Paint, caption, plan).Image)
		if err != nil {
			t.Fatal(err)
		}
		samples, drafts = append(samples, img), append(drafts, draft)
	}
	return samples, drafts
}

// defect is a damage and the rule that should see it.
type defect struct {
	rule   Rule
	name   string
	damage func(i int, set []image.Image) image.Image
}

func one(damage func(image.Image) image.Image) func(int, []image.Image) image.Image {
	return func(i int, set []image.Image) image.Image { return damage(set[i]) }
}

func defects() []defect {
	var list []defect
	add := func(r Rule, name string, damage func(image.Image) image.Image) {
		list = append(list, defect{r, name, one(damage)})
	}
	flat := func(noise int) func(image.Image) image.Image {
		return func(img image.Image) image.Image {
			random := rand.New(rand.NewPCG(1, 2))
			return each(img, func(int, int, color.RGBA) color.RGBA {
				v := uint8(100 + random.IntN(noise+1))
				return color.RGBA{v, v, v, 255}
			})
		}
	}
	add(blank, "contrast of a quarter", func(img image.Image) image.Image { return faded(img, 0.25) })
	add(blank, "one colour, with noise of 3 of 255", flat(3))
	add(blank, "one colour", flat(0))
	for _, half := range []int{1, 2, 4, 8} {
		add(blur, fmt.Sprintf("Gaussian blur of %.1f pixels", blurDeviation(half)), func(img image.Image) image.Image { return blurred(img, half) })
	}
	for _, q := range []int{90, 75, 50, 20, 10, 5} {
		add(blocked, fmt.Sprintf("JPEG of quality %d", q), func(img image.Image) image.Image { return asJPEG(img, q) })
	}
	for _, share := range []float64{0.5, 0.25, 0.1, 0} {
		add(coloured, fmt.Sprintf("%.0f%% of green and blue left", 100*share), func(img image.Image) image.Image { return tinted(img, share) })
	}
	for _, share := range []float64{0.1, 0.25, 0.5} {
		add(bordered, fmt.Sprintf("black bands of %.0f%%", 100*share), func(img image.Image) image.Image { return letterboxed(img, share, color.Black) })
	}
	add(bordered, "white bands of 25%", func(img image.Image) image.Image { return letterboxed(img, 0.25, color.White) })
	add(smoothed, "JPEG of quality 75", func(img image.Image) image.Image { return asJPEG(img, 75) })
	for _, half := range []int{1, 2} {
		add(smoothed, fmt.Sprintf("Gaussian blur of %.1f pixels", blurDeviation(half)), func(img image.Image) image.Image { return blurred(img, half) })
	}
	add(layout, "contrast of a half", func(img image.Image) image.Image { return faded(img, 0.5) })
	add(layout, "left and right exchanged", mirrored)
	add(layout, "quarters exchanged", shuffled)
	list = append(list, defect{layout, "another picture", func(i int, set []image.Image) image.Image { return set[(i+1)%len(set)] }})
	return list
}

// quoted compares the tables that a document quotes from the named test with what
// the test found, or writes them there.
func quoted(t *testing.T, path, test, tables string) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start, end := fmt.Sprintf("<!-- confusion table: go test ./filter -run %s -update -->\n", test), "<!-- end of the confusion table -->\n"
	before, rest, found := strings.Cut(string(doc), start)
	quoted, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	t.Log("\n" + tables)
	if *update {
		if err := os.WriteFile(path, []byte(before+start+tables+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if quoted != tables {
		t.Errorf("%s quotes another table; look at what changed, then run: go test ./filter -run %s -update", path, test)
	}
}

// TestConfusion holds the table in the documentation against what the rules do.
// No rule may object to an undamaged picture.
func TestConfusion(t *testing.T) {
	samples, drafts := drawings(t)
	sets := [][]image.Image{photos(t), leaves(), samples}
	var table strings.Builder
	fmt.Fprintf(&table, "| rule | defect | of %d photos | of %d dead leaves | of %d drawings |\n|---|---|---|---|---|\n", len(sets[0]), len(sets[1]), len(sets[2]))
	for _, set := range sets {
		for i, img := range set {
			for _, r := range pictureRules {
				if r.Name == enlargement.Name && img.Bounds().Dx() < 256 {
					continue // the one small photo
				}
				if reason := reason(t, r, pair(img, img)); reason != "" {
					t.Errorf("rule %s rejects undamaged picture %d: %s", r.Name, i, reason)
				}
			}
		}
	}
	for i, draft := range drafts {
		for _, r := range []Rule{smoothed, layout} {
			if reason := reason(t, r, pair(draft, samples[i])); reason != "" {
				t.Errorf("rule %s rejects drawing %d as the improvement of its draft: %s", r.Name, i, reason)
			}
		}
		if reason := reason(t, blur, pair(draft, draft)); reason != "" {
			t.Errorf("rule blur rejects draft %d: %s", i, reason)
		}
	}
	fmt.Fprintf(&table, "| each | none | 0 | 0 | 0 |\n")
	for _, d := range defects() {
		fmt.Fprintf(&table, "| `%s` | %s |", d.rule.Name, d.name)
		for _, set := range sets {
			rejected := 0
			for i, img := range set {
				if reason(t, d.rule, pair(img, d.damage(i, set))) != "" {
					rejected++
				}
			}
			fmt.Fprintf(&table, " %d |", rejected)
		}
		table.WriteByte('\n')
	}
	quoted(t, "../docs/filters-images.md", "TestConfusion", table.String())
}

// TestPictures: each rule on a picture that it must let pass and on one that it
// must not.
func TestPictures(t *testing.T) {
	leaf := deadLeaves(1, 256)
	_, drawing := scenes.Sample(5, 0)
	_, small := scenes.Sample(5, 56)
	white := image.NewUniform(color.White)
	paper := func() *image.RGBA { // a white one
		img := image.NewRGBA(image.Rect(0, 0, 256, 256))
		draw.Draw(img, img.Rect, white, image.Point{}, draw.Src)
		return img
	}
	painted := func(c color.Color, rects ...image.Rectangle) image.Image {
		img := paper()
		for _, r := range rects {
			draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
		}
		return img
	}
	framed := paper() // a photo on a sheet
	draw.Draw(framed, image.Rect(20, 20, 236, 236), leaf, image.Point{}, draw.Src)
	gradient := each(paper(), func(x, y int, _ color.RGBA) color.RGBA { return color.RGBA{uint8(x), uint8(y), 128, 255} })
	soft := pixels(blurred(leaf, 8)) // with a sharp subject in the middle
	draw.Draw(soft, image.Rect(96, 96, 160, 160), leaf, image.Pt(96, 96), draw.Src)
	squares := each(paper(), func(x, y int, _ color.RGBA) color.RGBA {
		return color.RGBA{uint8(x / 8 * 255 & 255), uint8((x/8 + y/8) % 2 * 255), 0, 255}
	})
	sepia := each(leaf, func(_, _ int, p color.RGBA) color.RGBA {
		v := (float64(p.R) + float64(p.G) + float64(p.B)) / 3
		return color.RGBA{uint8(min(v*1.35, 255)), uint8(min(v*1.2, 255)), uint8(v * 0.93), 255}
	})
	flag := painted(color.Black, image.Rect(0, 0, 256, 85))

	for _, tc := range []struct {
		rule            Rule
		name            string
		draft, improved image.Image
		rejects         bool
	}{
		{blank, "nothing at all", leaf, paper(), true},
		{blank, "a dot", leaf, painted(color.Black, image.Rect(120, 120, 128, 128)), false},
		{blank, "red and green of one brightness", leaf, each(paper(), func(x, _ int, _ color.RGBA) color.RGBA {
			return [2]color.RGBA{{200, 0, 0, 255}, {0, 102, 0, 255}}[x/128]
		}), false},
		{blur, "a flat drawing", leaf, drawing, false},
		{blur, "a small thing on a shaded ground", leaf, small, false},
		{blur, "squares", leaf, squares, false},
		{blur, "a sharp subject on a soft ground", leaf, soft, false},
		{blur, "a drawing that is blurred", leaf, blurred(drawing, 6), true},
		{blur, "nothing but a gradient", leaf, gradient, true},
		{blocked, "a coarse JPEG", leaf, asJPEG(drawing, 10), true},
		{blocked, "squares of 8 pixels that are drawn", leaf, squares, false},
		{coloured, "sepia", leaf, sepia, false},
		{coloured, "red alone", leaf, tinted(leaf, 0), true},
		{coloured, "a dark picture", leaf, faded(image.NewRGBA(image.Rect(0, 0, 64, 64)), 0), false},
		{bordered, "a photo on a sheet", leaf, framed, true},
		{bordered, "a square on a white ground", leaf, painted(color.RGBA{40, 80, 200, 255}, image.Rect(50, 50, 206, 206)), false},
		{bordered, "a flag", leaf, flag, false},
		{bordered, "a letterbox", leaf, letterboxed(leaf, 0.25, color.Black), true},
		{smoothed, "a draft that is blurred", blurred(leaf, 4), leaf, false},
		{smoothed, "a larger improvement of a sharp draft", leaf, enlarged(leaf, 2), false},
		{smoothed, "a melted improvement", leaf, blurred(leaf, 4), true},
		{smoothed, "a draft without detail", paper(), leaf, false},
		{layout, "a larger improvement", leaf, enlarged(leaf, 2), false},
		{layout, "another picture", leaf, drawing, true},
		{enlargement, "128 pixels", leaf, deadLeaves(1, 128), false},
		{enlargement, "127 pixels", leaf, deadLeaves(1, 127), true},
		{aspect, "a banner", leaf, image.NewGray(image.Rect(0, 0, 500, 100)), true},
		{aspect, "a panorama", leaf, image.NewGray(image.Rect(0, 0, 400, 100)), false},
	} {
		t.Run(tc.rule.Name+": "+tc.name, func(t *testing.T) {
			value, err := tc.rule.Measure(t.Context(), pair(tc.draft, tc.improved), irgdata.SlotImproved)
			if err != nil {
				t.Fatal(err)
			}
			if reason := tc.rule.Reject(irgdata.SlotImproved, value); (reason != "") != tc.rejects {
				t.Errorf("value %v, reason %q, want a rejection: %v", value, reason, tc.rejects)
			}
		})
	}
}

func enlarged(img image.Image, times int) image.Image {
	from := pixels(img)
	out := image.NewRGBA(image.Rect(0, 0, times*from.Rect.Dx(), times*from.Rect.Dy()))
	return each(out, func(x, y int, _ color.RGBA) color.RGBA { return from.RGBAAt(x/times, y/times) })
}

// TestScale: what the trainer does to sizes.
func TestScale(t *testing.T) {
	for _, tc := range []struct {
		width, height int
		want          float64
	}{
		{1024, 1024, 1}, {512, 512, 1}, {800, 600, 1}, {256, 256, 2}, {4000, 3000, 0.256},
		{1024, 256, 1}, // 512 for the shorter side would make 2048 of the longer one
		{300, 100, 1024. / 300}, {100, 400, 2.56}, {8192, 64, 0.125},
	} {
		if got := scale(tc.width, tc.height); got != tc.want {
			t.Errorf("scale(%d, %d) = %v, want %v", tc.width, tc.height, got, tc.want)
		}
	}
}

// TestShrink: the mean of the area of each pixel.
func TestShrink(t *testing.T) {
	row := &image.Gray{Pix: []uint8{0, 30, 60, 99, 99, 0, 30, 60, 99, 99}, Stride: 5, Rect: image.Rect(0, 0, 5, 2)}
	for _, tc := range []struct {
		w, h int
		want []uint8
	}{
		{5, 1, []uint8{0, 30, 60, 99, 99}},
		{1, 1, []uint8{58}},
		{2, 1, []uint8{24, 91}}, // (0+30+60/2)/2.5 and (60/2+99+99)/2.5
		{5, 4, []uint8{0, 30, 60, 99, 99, 0, 30, 60, 99, 99, 0, 30, 60, 99, 99, 0, 30, 60, 99, 99}},
	} {
		if got := shrink(row, tc.w, tc.h).Pix; !bytes.Equal(got, tc.want) {
			t.Errorf("%d×%d: %v, want %v", tc.w, tc.h, got, tc.want)
		}
	}
}

// TestBrightness: it has JPEG's weights, and depends neither on how an image is
// held nor on where its corner is.
func TestBrightness(t *testing.T) {
	for c, want := range map[color.RGBA]uint8{{255, 0, 0, 255}: 76, {0, 255, 0, 255}: 150, {0, 0, 255, 255}: 29, {255, 255, 255, 255}: 255} {
		img := image.NewRGBA(image.Rect(0, 0, 1, 1))
		img.SetRGBA(0, 0, c)
		if got := greyOf(img).Pix[0]; got != want {
			t.Errorf("%v is %d, want %d", c, got, want)
		}
	}
	whole := image.Rect(0, 0, 96, 96)
	grey := image.NewGray(whole)
	draw.Draw(grey, whole, deadLeaves(1, 96), image.Point{}, draw.Src)
	var greys color.Palette
	for v := range 256 {
		greys = append(greys, color.Gray{Y: uint8(v)})
	}
	ycbcr := image.NewYCbCr(whole, image.YCbCrSubsampleRatio420)
	copy(ycbcr.Y, grey.Pix)
	kinds := []interface {
		image.Image
		SubImage(image.Rectangle) image.Image
	}{grey, ycbcr}
	for _, img := range []interface {
		draw.Image
		SubImage(image.Rectangle) image.Image
	}{image.NewRGBA(whole), image.NewNRGBA(whole), image.NewNRGBA64(whole), image.NewPaletted(whole, greys)} {
		draw.Draw(img, whole, grey, image.Point{}, draw.Src)
		kinds = append(kinds, img)
	}
	part := image.Rect(17, 31, 80, 90)
	for _, img := range kinds {
		got := greyOf(img.SubImage(part))
		if got.Rect != image.Rect(0, 0, part.Dx(), part.Dy()) {
			t.Errorf("%T: bounds are %v", img, got.Rect)
			continue
		}
		for y := range part.Dy() {
			for x := range part.Dx() {
				if got, want := got.GrayAt(x, y), grey.GrayAt(x+part.Min.X, y+part.Min.Y); got != want {
					t.Fatalf("%T: %v at (%d, %d), want %v", img, got, x, y, want)
				}
			}
		}
	}
}

// TestSizes: images of all shapes are measured.
func TestSizes(t *testing.T) {
	leaf := deadLeaves(1, 256)
	for _, size := range []image.Point{{1, 1}, {1, 5}, {2, 2}, {7, 9}, {33, 3}, {1, 4000}, {3000, 2}, {1500, 40}} {
		img := image.NewGray(image.Rectangle{Max: size})
		for _, s := range []*Subject{pair(leaf, img), pair(img, leaf), pair(img, img)} {
			for _, r := range pictureRules {
				value, err := r.Measure(t.Context(), s, irgdata.SlotImproved)
				if err != nil || value != value {
					t.Errorf("%s of %v: %v, %v", r.Name, size, value, err)
				}
			}
		}
	}
}

// TestPictureVerdicts: what an image from the store costs a trajectory. A
// blurred draft costs nothing, and what does not decode is rule decode's.
func TestPictureVerdicts(t *testing.T) {
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := images.NewStore(objects)
	encode := func(img image.Image) []byte {
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	leaf := deadLeaves(1, 160)
	_, other := scenes.Sample(5, 0)
	broken := encode(other)
	broken = broken[:len(broken)/2]
	for _, tc := range []struct {
		name             string
		strategy         irgdata.Strategy
		reference, draft []byte
		improved         []byte // under Self
		rule             string
	}{
		{"good", irgdata.Distill, encode(leaf), encode(other), nil, ""},
		{"another layout of one's own", irgdata.Self, encode(leaf), encode(leaf), encode(other), "layout"},
		{"a soft draft", irgdata.Distill, encode(leaf), encode(blurred(leaf, 8)), nil, ""},
		{"a soft reference", irgdata.Distill, encode(blurred(leaf, 8)), encode(blurred(leaf, 4)), nil, "blur"},
		{"a blank draft", irgdata.Distill, encode(leaf), encode(image.NewGray(image.Rect(0, 0, 160, 160))), nil, "blank"},
		{"half a draft", irgdata.Distill, encode(leaf), broken, nil, "decode"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			put := func(encoded []byte) irgdata.ImageRef {
				ref, err := store.Put(t.Context(), encoded)
				if err != nil {
					t.Fatal(err)
				}
				return ref
			}
			tr := irgdata.NewTrajectory(irgdata.Pair{Prompt: "leaves", Image: put(tc.reference)}, tc.strategy)
			tr.Slots[irgdata.SlotThinking].Text = "<think>Leaves lie on leaves.</think>"
			tr.Slots[irgdata.SlotDraftThinking].Text = "<think>Leaves.</think>"
			tr.Slots[irgdata.SlotReflection].Text = "<think>They are soft.</think>"
			tr.Slots[irgdata.SlotDraft].Image = put(tc.draft)
			if tc.improved != nil {
				tr.Slots[irgdata.SlotImproved].Image = put(tc.improved)
			}
			in := iter.Seq2[irgdata.Item[irgdata.Trajectory], error](func(yield func(irgdata.Item[irgdata.Trajectory], error) bool) {
				yield(irgdata.Item[irgdata.Trajectory]{Value: tr}, nil)
			})
			for item, err := range Run(t.Context(), in, Options{Modes: modes.All(), Workers: 1, Rules: append([]Rule{Decode()}, pictureRules...)}, store) {
				if err != nil {
					t.Fatal(err)
				}
				verdicts := item.Value.Verdicts
				if item.Reject != nil {
					verdicts = []irgdata.Verdict{{Rule: item.Reject.Rule}}
				}
				rule := ""
				for _, v := range verdicts {
					if !v.Keep {
						rule = v.Rule
					}
				}
				if rule != tc.rule {
					t.Errorf("lost to rule %q, want %q: %+v", rule, tc.rule, item)
				}
			}
		})
	}
}

// BenchmarkPictures measures all rules on pictures on one image of 1024×1024
// pixels, without its decoding: alone, and against a draft of the same size.
func BenchmarkPictures(b *testing.B) {
	leaf := pixels(deadLeaves(1, 1024))
	for _, bc := range []struct {
		name            string
		draft, improved image.Image
	}{
		{"RGBA", nil, leaf}, {"JPEG", nil, asJPEG(leaf, 90)}, {"RGBA and draft", pixels(leaf), leaf},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var s *Subject
				if bc.draft != nil {
					s = pair(bc.draft, bc.improved)
				} else {
					s = pair(bc.improved, bc.improved)
					s.Trajectory.Slots[irgdata.SlotDraft] = irgdata.Filling{}
				}
				for _, r := range pictureRules {
					for _, slot := range r.Slots {
						if s.Trajectory.Slots[slot].IsZero() {
							continue
						}
						if _, err := r.Measure(b.Context(), s, slot); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	}
}

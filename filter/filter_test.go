package filter_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"iter"
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const goodReflection = `<think>
The circle is pale.

### Detailed Explanation of Required Improvements:
It must be red.

### Step-by-Step Modification Guidance:
1. Paint it red.

### Final Comprehensive Prompt for the Improved Image:
A red circle.
</think>`

// picture is a gradient of the given side, shifted by shade.
func picture(side int, shade uint8) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.SetRGBA(x, y, color.RGBA{uint8(x) + shade, uint8(y), shade, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

func newImages(t testing.TB) *images.Store {
	t.Helper()
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return images.NewStore(objects)
}

func put(t testing.TB, s *images.Store, encoded []byte) irgdata.ImageRef {
	t.Helper()
	ref, err := s.Put(t.Context(), encoded)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// good is a trajectory that every rule accepts.
func good(t testing.TB, s *images.Store) irgdata.Trajectory {
	pair := irgdata.Pair{Prompt: "a red circle", Image: put(t, s, picture(256, 100))}
	pair.ID = irgdata.PairID(pair.Prompt, pair.Image.Digest)
	tr := irgdata.NewTrajectory(pair, irgdata.Distill)
	tr.Slots[irgdata.SlotThinking].Text = "<think>One circle, red, in the middle.</think>"
	tr.Slots[irgdata.SlotDraftThinking].Text = "<think>A circle, plainly lit.</think>"
	tr.Slots[irgdata.SlotDraft].Image = put(t, s, picture(256, 0))
	tr.Slots[irgdata.SlotReflection].Text = goodReflection
	return tr
}

func judge(t testing.TB, s *images.Store, tr irgdata.Trajectory) irgdata.Item[irgdata.Judged] {
	t.Helper()
	in := iter.Seq2[irgdata.Item[irgdata.Trajectory], error](func(yield func(irgdata.Item[irgdata.Trajectory], error) bool) {
		yield(irgdata.Item[irgdata.Trajectory]{Value: tr}, nil)
	})
	o := filter.Options{Modes: modes.All(), Workers: 2, Rules: []filter.Rule{
		filter.Decode(), filter.Size(128), filter.Thinking(3), filter.ReflectionForm(), filter.Unchanged(2),
	}}
	for item, err := range filter.Run(t.Context(), in, o, s) {
		if err != nil {
			t.Fatal(err)
		}
		return item
	}
	t.Fatal("no item")
	panic("unreachable")
}

func TestRules(t *testing.T) {
	initial := []string{"initial_thinking_understanding_learning", "initial_thinking_generation_learning", "initial_full_learning"}
	improving := []string{"improving_thinking_understanding_learning", "improving_thinking_generation_learning", "improving_full_learning"}
	for _, tc := range []struct {
		name string
		edit func(*irgdata.Trajectory, *images.Store)
		rule string
		lost []string
	}{
		{"nothing wrong", func(*irgdata.Trajectory, *images.Store) {}, "", nil},
		{"truncated draft", func(tr *irgdata.Trajectory, s *images.Store) {
			whole := picture(256, 7)
			tr.Slots[irgdata.SlotDraft].Image = put(t, s, whole[:len(whole)/2])
		}, "decode", improving},
		{"tiny draft", func(tr *irgdata.Trajectory, s *images.Store) {
			tr.Slots[irgdata.SlotDraft].Image = put(t, s, picture(127, 7))
		}, "size", improving},
		{"thinking without tags", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotThinking].Text = "One circle, red, in the middle."
		}, "thinking", initial},
		{"thinking without an end", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotThinking].Text = "<think>One circle, red, in the"
		}, "thinking", initial},
		{"two thoughts", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotThinking].Text = "<think>One circle here.</think><think>Red it is.</think>"
		}, "thinking", initial},
		{"empty thought", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotThinking].Text = "<think> \n </think>"
		}, "thinking", initial},
		{"draft thinking without tags", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotDraftThinking].Text = "A circle, plainly lit."
		}, "thinking", improving[1:]}, // the understanding mode does not show it
		{"reflection without a section", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotReflection].Text = strings.Replace(goodReflection, "### Step-by-Step Modification Guidance:", "", 1)
		}, "reflection_form", improving},
		{"reflection with an empty section", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotReflection].Text = strings.Replace(goodReflection, "A red circle.", "", 1)
		}, "reflection_form", improving},
		{"reflection without its opening", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotReflection].Text = strings.Replace(goodReflection, "The circle is pale.", "", 1)
		}, "reflection_form", improving},
		{"reflection in another order", func(tr *irgdata.Trajectory, _ *images.Store) {
			r := strings.NewReplacer("### Detailed Explanation of Required Improvements:", "### Step-by-Step Modification Guidance:",
				"### Step-by-Step Modification Guidance:", "### Detailed Explanation of Required Improvements:")
			tr.Slots[irgdata.SlotReflection].Text = r.Replace(goodReflection)
		}, "reflection_form", improving},
		{"improved image unchanged", func(tr *irgdata.Trajectory, s *images.Store) {
			tr.Slots[irgdata.SlotDraft].Image = put(t, s, picture(256, 101)) // one step of 255 off
		}, "unchanged", []string{improving[0], improving[2]}},
		{"a failed call", func(tr *irgdata.Trajectory, _ *images.Store) {
			tr.Slots[irgdata.SlotReflection] = irgdata.Filling{}
			tr.Failures = []irgdata.Failure{{Slot: irgdata.SlotReflection, Step: "reflection", Rule: "refused", Reason: "I will not"}}
		}, "refused", improving},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newImages(t)
			tr := good(t, s)
			tc.edit(&tr, s)
			item := judge(t, s, tr)
			if item.Reject != nil {
				t.Fatalf("the whole pair was rejected: %+v", *item.Reject)
			}
			var lost []string
			for _, v := range item.Value.Verdicts {
				if v.Keep {
					continue
				}
				lost = append(lost, v.Mode)
				if v.Rule != tc.rule || v.Reason == "" {
					t.Errorf("%s: lost to rule %q (%s), want %q", v.Mode, v.Rule, v.Reason, tc.rule)
				}
			}
			if strings.Join(lost, " ") != strings.Join(tc.lost, " ") {
				t.Errorf("lost %v, want %v", lost, tc.lost)
			}
		})
	}
}

// TestWholePair: a pair that serves no mode is a reject, with the reason.
func TestWholePair(t *testing.T) {
	s := newImages(t)
	refused := irgdata.NewTrajectory(good(t, s).Pair, irgdata.Distill)
	refused.Failures = []irgdata.Failure{
		{Slot: irgdata.SlotThinking, Step: "hindsight", Rule: "refused", Reason: "no dogs"},
		{Slot: irgdata.SlotDraftThinking, Step: "draft_thinking", Rule: "refused", Reason: "no dogs"},
	}
	r := judge(t, s, refused).Reject
	if r == nil || r.Stage != "annotate" || r.Rule != "refused" || !strings.Contains(r.Reason, "no dogs") || !math.IsNaN(r.Score) || r.Pair.ID != refused.Pair.ID {
		t.Errorf("got %+v", r)
	}

	tiny := good(t, s)
	tiny.Pair.Image = put(t, s, picture(16, 0))
	tiny.Slots[irgdata.SlotReference].Image, tiny.Slots[irgdata.SlotImproved].Image = tiny.Pair.Image, tiny.Pair.Image
	tiny.Slots[irgdata.SlotThinking].Text, tiny.Slots[irgdata.SlotReflection].Text = "none", "none"
	if r := judge(t, s, tiny).Reject; r == nil || r.Stage != "filter" {
		t.Errorf("got %+v", r)
	}
}

func TestScoresAreStored(t *testing.T) {
	s := newImages(t)
	j := judge(t, s, good(t, s)).Value
	got := map[string]float64{}
	for _, score := range j.Scores {
		got[score.Rule+" "+score.Name] = score.Value
	}
	for name, want := range map[string]float64{
		"decode/1 draft.decodes": 1, "size/1 reference.min_side": 256, "thinking/1 thinking.words": 6,
		"reflection_form/1 reflection.sections": 4,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if d := got["unchanged/1 improved.difference"]; d < 20 || d > 255 {
		t.Errorf("difference is %v", d)
	}
}

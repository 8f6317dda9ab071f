package annotate

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// named is a model that only has a name.
type named struct {
	runtime.Model
	identity runtime.Identity
}

func (n named) Identity() runtime.Identity { return n.identity }

// TestChangesNameWhatTheKeyDigests changes each part of a call in turn: the key
// is another one, and the change is named.
func TestChangesNameWhatTheKeyDigests(t *testing.T) {
	model := runtime.Identity{Name: "irg", Revision: "a"}
	at := &Annotator{o: Options{Prompts: modes.DefaultPrompts(), Width: 64, Height: 64, Models: map[modes.Role]runtime.Model{modes.RolePainter: named{identity: model}}}}
	pair := irgdata.Pair{ID: irgdata.DigestOf([]byte("pair")), Prompt: "a cat"}
	trajectory := irgdata.NewTrajectory(pair, irgdata.Self)
	trajectory.Slots[irgdata.SlotDraftThinking].Text = "<think>paint it</think>"
	step := func() modes.Step {
		return modes.Step{
			Name: "improved", Version: "1", Role: modes.RolePainter, Fills: irgdata.SlotImproved,
			Context:  []modes.Segment{{Template: modes.PromptSystem}, {Slot: irgdata.SlotPrompt}, {Slot: irgdata.SlotDraftThinking}},
			Sampling: runtime.Sampling{Temperature: 0.7, Steps: 50, CFGInterval: [2]float64{0.4, 1}, CFGRenorm: "global"},
		}
	}
	type call struct {
		a    *Annotator
		step modes.Step
		t    irgdata.Trajectory
	}
	changes := func(edit func(*call)) []string {
		t.Helper()
		now := call{&Annotator{o: at.o}, step(), trajectory}
		edit(&now)
		key := func(c call) irgdata.Digest {
			k, err := c.a.key(c.step, c.a.o.Models[c.step.Role].Identity(), c.a.sampling(c.step, pair.ID), c.t)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		if key(now) == key(call{&Annotator{o: at.o}, step(), trajectory}) {
			t.Error("the key is the same")
		}
		asked, err := at.asked(step(), trajectory)
		if err != nil {
			t.Fatal(err)
		}
		var then recipe
		if err := json.Unmarshal([]byte(asked.Recipe), &then); err != nil {
			t.Fatal(err)
		}
		list := then.changes(now.a.recipe(now.step), now.step.Role)
		for _, input := range inputs(now.step, now.t, nil) {
			if !strings.Contains(asked.Inputs, input) {
				list = append(list, input)
			}
		}
		return list
	}
	for _, tc := range []struct {
		want string
		edit func(*call)
	}{
		{"model painter irg revision a → b", func(c *call) {
			c.a.o.Models = map[modes.Role]runtime.Model{modes.RolePainter: named{identity: runtime.Identity{Name: "irg", Revision: "b"}}}
		}},
		{"model painter irg@a → vlm@a", func(c *call) {
			c.a.o.Models = map[modes.Role]runtime.Model{modes.RolePainter: named{identity: runtime.Identity{Name: "vlm", Revision: "a"}}}
		}},
		{"step improved/1 → improved/2", func(c *call) { c.step.Version = "2" }},
		{"sampling temperature 0.7 → 0.8", func(c *call) { c.step.Sampling.Temperature = 0.8 }},
		{"sampling cfg_interval [0.4,1] → [0,1]", func(c *call) { c.step.Sampling.CFGInterval[0] = 0 }},
		{"sampling max_tokens default → 9", func(c *call) { c.step.Sampling.MaxTokens = 9 }},
		{"image size 64×64 → 64×128", func(c *call) { c.a.o.Height = 128 }},
		{"seed 0 → 3", func(c *call) { c.a.o.Seed = 3 }},
		{"template system v1 → custom", func(c *call) {
			var err error
			if c.a.o.Prompts, err = c.a.o.Prompts.With(modes.PromptSystem, "Be brief."); err != nil {
				t.Fatal(err)
			}
		}},
		{"draft_thinking:", func(c *call) { c.t.Slots[irgdata.SlotDraftThinking].Text = "another" }},
	} {
		if got := changes(tc.edit); len(got) != 1 || !strings.HasPrefix(got[0], tc.want) {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
	// Every parameter that there is, also one that someone adds.
	for i := range reflect.TypeFor[runtime.Sampling]().NumField() {
		field := reflect.TypeFor[runtime.Sampling]().Field(i)
		if slices.Contains([]string{"Seed", "Width", "Height"}, field.Name) {
			continue // set for each call from the options, above
		}
		got := changes(func(c *call) {
			switch f := reflect.ValueOf(&c.step.Sampling).Elem().Field(i); f.Kind() {
			case reflect.Float64:
				f.SetFloat(0.125)
			case reflect.Int:
				f.SetInt(99)
			case reflect.String:
				f.SetString("other")
			case reflect.Array:
				f.Index(0).SetFloat(0.125)
			default:
				t.Fatalf("no test for parameters such as %s", field.Name)
			}
		})
		if len(got) != 1 || !strings.HasPrefix(got[0], "sampling ") {
			t.Errorf("%s: got %q", field.Name, got)
		}
	}
}

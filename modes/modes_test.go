package modes_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/modes"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// full is a trajectory with every slot filled by recognisable content.
func full() irgdata.Trajectory {
	pair := irgdata.Pair{Prompt: "a red circle & <b>", Image: ref("reference")}
	pair.ID = irgdata.PairID(pair.Prompt, pair.Image.Digest)
	t := irgdata.NewTrajectory(pair, irgdata.Distill)
	t.Slots[irgdata.SlotThinking].Text = "<think>hindsight</think>"
	t.Slots[irgdata.SlotDraftThinking].Text = "<think>draft plan</think>"
	t.Slots[irgdata.SlotDraft].Image = ref("draft")
	t.Slots[irgdata.SlotReflection].Text = "<think>reflection \"quoted\"\n### …</think>"
	return t
}

func ref(content string) irgdata.ImageRef {
	return irgdata.ImageRef{Digest: irgdata.DigestOf([]byte(content)), Size: int64(len(content)), Format: irgdata.FormatPNG, Width: 1, Height: 1}
}

// conversation is a row with its images.
func conversation(t *testing.T, m modes.Mode) string {
	t.Helper()
	fragments, err := m.Conversation(full(), modes.DefaultPrompts())
	if err != nil {
		t.Fatal(err)
	}
	var row strings.Builder
	for _, f := range fragments {
		row.WriteString(f.JSON)
		for _, content := range []string{"reference", "draft"} {
			if f.Image == ref(content) {
				row.WriteString(base64.StdEncoding.EncodeToString([]byte(content)))
			}
		}
	}
	return row.String()
}

func TestConversationGolden(t *testing.T) {
	for _, m := range modes.All() {
		t.Run(m.Name, func(t *testing.T) {
			got := conversation(t, m)
			golden := filepath.Join("testdata", m.Name+".json")
			if *update {
				if err := os.WriteFile(golden, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got+"\n" != string(want) {
				t.Errorf("conversation changed\n got %s\nwant %s", got, want)
			}
		})
	}
}

// TestLoaderRules checks each row against the official loader's rules, read
// from its source rather than from our table.
func TestLoaderRules(t *testing.T) {
	for _, m := range modes.All() {
		t.Run(m.Name, func(t *testing.T) {
			row := conversation(t, m)
			var turns []map[string]any
			if err := json.Unmarshal([]byte(row), &turns); err != nil {
				t.Fatal(err)
			}
			targets := 0
			for _, turn := range turns {
				switch turn["role"] {
				case "user":
					if s, ok := turn["content"].(string); !ok || s == "" {
						t.Errorf("a user turn's content must be a non-empty string: %v", turn["content"])
					}
				case "assistant":
					parts, ok := turn["content"].([]any)
					if !ok {
						t.Fatalf("an assistant turn's content must be a list: %v", turn["content"])
					}
					for _, p := range parts {
						part := p.(map[string]any)
						loss := part["need_loss"].(bool)
						if loss {
							targets++
						}
						if part["type"] == "image" {
							vae, vit := part["need_vae"].(bool), part["need_vit"].(bool)
							if !loss && !vae && !vit {
								t.Error("an image without flags is dropped by the loader")
							}
							if strings.HasPrefix(part["content"].(string), "data:") {
								t.Error("base64 must be bare")
							}
						}
					}
				default:
					t.Errorf("role %v is ignored by the loader", turn["role"])
				}
			}
			wantTargets := 1
			if m.Stage2 { // the full modes also learn the picture
				wantTargets = 2
			}
			if targets != wantTargets {
				t.Errorf("%d targets, want %d", targets, wantTargets)
			}
		})
	}
}

func TestConversationNeedsItsSlots(t *testing.T) {
	for _, m := range modes.All() {
		for _, slot := range m.Needs() {
			if slot == irgdata.SlotPrompt {
				continue
			}
			incomplete := full()
			incomplete.Slots[slot] = irgdata.Filling{}
			_, err := m.Conversation(incomplete, modes.DefaultPrompts())
			if err == nil || !strings.Contains(err.Error(), slot.String()) {
				t.Errorf("%s without %s: got error %v, want one that names the slot", m.Name, slot, err)
			}
		}
	}
}

func TestStepsFor(t *testing.T) {
	names := func(steps []modes.Step) (out []string) {
		for _, s := range steps {
			out = append(out, s.Name)
		}
		return out
	}
	for _, tc := range []struct {
		name     string
		strategy irgdata.Strategy
		wanted   []string
		want     []string
	}{
		{"a thinking mode costs no image", irgdata.Distill, []string{"initial_thinking_generation_learning"}, []string{"hindsight"}},
		{"the initial modes share one call", irgdata.Distill, []string{"initial_thinking_generation_learning", "initial_full_learning", "initial_thinking_understanding_learning"}, []string{"hindsight"}},
		{"improving understanding needs the draft", irgdata.Distill, []string{"improving_thinking_understanding_learning"}, []string{"draft_thinking", "draft", "reflection"}},
		{"all modes, distilled", irgdata.Distill, nil, []string{"hindsight", "draft_thinking", "draft", "reflection"}},
		{"all modes, by itself", irgdata.Self, nil, []string{"hindsight", "draft_thinking", "draft", "self_reflection", "improved"}},
		{"self thinking costs no second image", irgdata.Self, []string{"improving_thinking_generation_learning"}, []string{"draft_thinking", "draft", "self_reflection"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wanted, err := modes.Select(tc.wanted)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(modes.StepsFor(tc.strategy, wanted, false)); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			// Each of these modes needs the reference in the end, but for the
			// improved image that is painted by the model itself.
			want := append([]string{"reference"}, tc.want...)
			if tc.strategy == irgdata.Self && tc.wanted != nil {
				want = tc.want
			}
			if got := names(modes.StepsFor(tc.strategy, wanted, true)); !slices.Equal(got, want) {
				t.Errorf("with pairs that have no image: got %v, want %v", got, want)
			}
		})
	}
}

// TestStepsAreOrdered: a step's context only shows slots that come with the
// pair or that an earlier step fills.
func TestStepsAreOrdered(t *testing.T) {
	for _, strategy := range []irgdata.Strategy{irgdata.Distill, irgdata.Self} {
		pair := irgdata.Pair{Prompt: "p", Image: ref("reference")}
		start := irgdata.NewTrajectory(pair, strategy)
		filled := map[irgdata.Slot]bool{}
		for s := range irgdata.NumSlots {
			filled[irgdata.Slot(s)] = !start.Slots[s].IsZero()
		}
		for _, step := range modes.Steps(strategy) {
			for _, need := range step.Needs() {
				if !filled[need] {
					t.Errorf("%s/%s shows %s before it is filled", strategy, step.Name, need)
				}
			}
			filled[step.Fills] = true
		}
	}
}

func TestSelect(t *testing.T) {
	if _, err := modes.Select([]string{"initial_ful_learning"}); err == nil || !strings.Contains(err.Error(), "initial_full_learning") {
		t.Errorf("got %v, want an error that lists the known modes", err)
	}
	got, err := modes.Select([]string{"improving_full_learning", "initial_full_learning"})
	if err != nil || len(got) != 2 || got[0].Name != "initial_full_learning" {
		t.Errorf("got %v, %v: want both modes in table order", got, err)
	}
}

func TestPrompts(t *testing.T) {
	p := modes.DefaultPrompts()
	for _, name := range p.Names() {
		tm := p.Get(name)
		if tm.Text == "" || !strings.HasPrefix(tm.Version, "v") {
			t.Errorf("template %s: version %q, %d characters", name, tm.Version, len(tm.Text))
		}
	}
	if _, err := p.With("reflection", "no place for it"); err == nil || !strings.Contains(err.Error(), "{{prompt}}") {
		t.Errorf("got %v, want an error about the missing placeholder", err)
	}
	if _, err := p.With("reflexion", "x"); err == nil || !strings.Contains(err.Error(), "reflection") {
		t.Errorf("got %v, want an error that lists the names", err)
	}
	q, err := p.With("system", "mine")
	if err != nil || q.Get("system").Text != "mine" || p.Get("system").Text == "mine" {
		t.Errorf("With must change the copy alone (%v)", err)
	}
	if got := q.Get("hindsight").Render("{{prompt}} x"); !strings.Contains(got, "{{prompt}} x") {
		t.Error("a prompt that contains the placeholder must stay as it is")
	}
}

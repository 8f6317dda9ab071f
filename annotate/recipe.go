package annotate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
)

// recipe is what the calls of a step have in common. With the pair and the
// inputs it is all that the key digests, so that two calls of a pair with other
// keys differ in one of them.
type recipe struct {
	Step  string           `json:"step"` // name and version, "draft/1"
	Model runtime.Identity `json:"model"`
	// Seed is that of the run, from which the call's derives; Sampling is without.
	Seed     uint64           `json:"seed"`
	Sampling runtime.Sampling `json:"sampling"`
	Context  []part           `json:"context"`
	Negative []part           `json:"negative,omitempty"`
}

// part is a template or a slot that the context shows.
type part struct {
	Template string         `json:"template,omitempty"`
	Version  string         `json:"version,omitempty"`
	Digest   irgdata.Digest `json:"digest,omitzero"`
	Slot     string         `json:"slot,omitempty"`
}

func (a *Annotator) recipe(step modes.Step) recipe {
	parts := func(segments []modes.Segment) (list []part) {
		for _, seg := range segments {
			if seg.Template == "" {
				list = append(list, part{Slot: seg.Slot.String()})
				continue
			}
			t := a.o.Prompts.Get(seg.Template)
			list = append(list, part{Template: t.Name, Version: t.Version, Digest: t.Digest()})
		}
		return list
	}
	r := recipe{
		Step: step.ID(), Model: a.o.Models[step.Role].Identity(), Seed: a.o.Seed, Sampling: a.sampling(step, irgdata.Digest{}),
		Context: parts(step.Context), Negative: parts(step.Negative),
	}
	r.Sampling.Seed = 0
	return r
}

// asked says of what the call's key is made.
func (a *Annotator) asked(step modes.Step, t irgdata.Trajectory) (manifests.Asked, error) {
	text, err := json.Marshal(a.recipe(step))
	return manifests.Asked{
		Pair: t.Pair.ID, Shown: manifests.Fingerprint(t.Pair.Image.Digest), Recipe: string(text), Inputs: strings.Join(inputs(step, t, nil), " "),
	}, err
}

// inputs names each content that the step shows but for the prompt, which is
// the pair's, with a fingerprint: "draft:0123456789abcdef". One that is unknown
// yet is left out.
func inputs(step modes.Step, t irgdata.Trajectory, unknown func(irgdata.Slot) bool) (list []string) {
	add := func(name string, content irgdata.Digest) {
		if entry := name + ":" + manifests.Fingerprint(content); !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	for _, seg := range slices.Concat(step.Context, step.Negative) {
		switch {
		case seg.Template != "":
			if seg.Quote != "" {
				add("quote", irgdata.DigestOf([]byte(seg.Quote)))
			}
		case seg.Slot == irgdata.SlotPrompt, unknown != nil && unknown(seg.Slot):
		case seg.Slot.IsImage():
			add(seg.Slot.String(), t.Slots[seg.Slot].Image.Digest)
		default:
			add(seg.Slot.String(), irgdata.DigestOf([]byte(t.Slots[seg.Slot].Text)))
		}
	}
	return list
}

// changes names what differs between a call that was made and one to be made.
func (then recipe) changes(now recipe, role modes.Role) (list []string) {
	change := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	if then.Step != now.Step {
		change("step %s → %s", then.Step, now.Step)
	}
	switch {
	case then.Model.Name != now.Model.Name:
		change("model %s %s → %s", role, then.Model, now.Model)
	case then.Model != now.Model:
		change("model %s %s revision %s → %s", role, now.Model.Name, then.Model.Revision, now.Model.Revision)
	}
	if then.Seed != now.Seed {
		change("seed %d → %d", then.Seed, now.Seed)
	}
	list = append(list, samplingChanges(then.Sampling, now.Sampling)...)
	if !then.laidOutAs(now) {
		return list
	}
	before, after := slices.Concat(then.Context, then.Negative), slices.Concat(now.Context, now.Negative)
	for i, b := range before {
		switch a := after[i]; {
		case a.Version != b.Version:
			change("template %s %s → %s", a.Template, b.Version, a.Version)
		case a.Digest != b.Digest:
			change("template %s has another text (%s)", a.Template, a.Version)
		}
	}
	return list
}

// laidOutAs reports whether both show the same, but for texts of templates. Calls
// of one step that do not are about different things, as a judge is asked of
// draft and improved image.
func (then recipe) laidOutAs(now recipe) bool {
	same := func(a, b part) bool { return a.Template == b.Template && a.Slot == b.Slot }
	return slices.EqualFunc(then.Context, now.Context, same) && slices.EqualFunc(then.Negative, now.Negative, same)
}

// samplingChanges names the parameters that differ.
func samplingChanges(then, now runtime.Sampling) (list []string) {
	if then.Width != now.Width || then.Height != now.Height {
		list = append(list, fmt.Sprintf("image size %d×%d → %d×%d", then.Width, then.Height, now.Width, now.Height))
		then.Width, then.Height = now.Width, now.Height
	}
	before, after := parameters(then), parameters(now)
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if b, a := string(before[name]), string(after[name]); a != b {
			list = append(list, fmt.Sprintf("sampling %s %s → %s", name, orDefault(b), orDefault(a)))
		}
	}
	return list
}

// parameters are the sampling by the names in its JSON.
func parameters(s runtime.Sampling) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		panic(err) // a struct of finite numbers and strings
	}
	return m
}

func orDefault(value string) string {
	if value == "" {
		return "default"
	}
	return value
}

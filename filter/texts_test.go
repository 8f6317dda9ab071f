package filter_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// textRules are the rules over texts with the defaults that docs/filters-texts.md
// suggests.
func textRules() []filter.Rule {
	return []filter.Rule{
		filter.Truncation(0.5), filter.Repetition(0.3), filter.Compression(5), filter.Refusal(), filter.Chatter(), filter.Language(0.25),
		filter.Coverage(0.2), filter.Leakage(), filter.Length(4096, nil), filter.Personal(0), filter.WordList(0, []string{"nsfw"}),
	}
}

func measure(t testing.TB, r filter.Rule, tr irgdata.Trajectory, slot irgdata.Slot) (value float64, reason string) {
	t.Helper()
	value, err := r.Measure(t.Context(), &filter.Subject{Trajectory: tr}, slot)
	if err != nil {
		t.Fatal(err)
	}
	return value, r.Reject(slot, value)
}

// rejects is what the rules have against the texts of a trajectory.
func rejects(t testing.TB, rules []filter.Rule, tr irgdata.Trajectory) (reasons []string) {
	t.Helper()
	for _, r := range rules {
		for _, slot := range r.Slots {
			if tr.Slots[slot].IsZero() {
				continue
			}
			if value, reason := measure(t, r, tr, slot); reason != "" {
				reasons = append(reasons, fmt.Sprintf("%s %s = %.3g: %s", r.Name, slot, value, reason))
			}
		}
	}
	return reasons
}

func withTexts(prompt, thinking, reflection string) (tr irgdata.Trajectory) {
	tr.Slots[irgdata.SlotPrompt].Text = prompt
	tr.Slots[irgdata.SlotThinking].Text = thinking
	tr.Slots[irgdata.SlotReflection].Text = reflection
	return tr
}

// written are plans and reflections by hand, as a good vision model writes
// them, by name.
func written(t testing.TB) map[string]irgdata.Trajectory {
	t.Helper()
	files, err := filepath.Glob("testdata/texts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no texts", err)
	}
	out := map[string]irgdata.Trajectory{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = strings.TrimSpace(string(f.Data))
		}
		out[strings.TrimSuffix(filepath.Base(file), ".txt")] = withTexts(parts["prompt"], parts["thinking"], parts["reflection"])
	}
	return out
}

// scenePairs is small because the model looks at each picture.
var scenePairs = flag.Int("scenes", 2, "pairs of the bundled sample, at most 90, for which the text rules see all four kinds of text")

// drawn are trajectories of the bundled sample: the first n with all four kinds
// of text, and further plans for each of them.
func drawn(t testing.TB, n int) (out []irgdata.Trajectory) {
	t.Helper()
	model, prompts := scenes.New(), modes.DefaultPrompts()
	system := prompts.Get(modes.PromptSystem).Text
	ask := func(seed uint64, want runtime.Output, parts ...any) runtime.Answer {
		r := runtime.Request{Want: want, Sampling: runtime.Sampling{Seed: seed}}
		for _, p := range parts {
			switch p := p.(type) {
			case string:
				r.Context = append(r.Context, runtime.TextPart(p))
			case []byte:
				r.Context = append(r.Context, runtime.ImagePart(irgdata.ImageRef{}, p))
			}
		}
		answer, err := model.Generate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for i := range min(10*n, 90) { // the others are bad on purpose
		file := func(ext string) []byte {
			content, err := fs.ReadFile(scenes.SampleFS(), fmt.Sprintf("%06d%s", i+1, ext))
			if err != nil {
				t.Fatal(err)
			}
			return content
		}
		caption := strings.TrimSpace(string(file(".txt")))
		plan := ask(1, runtime.Text, system, caption).Text
		if i >= n {
			out = append(out, withTexts(caption, plan, ""))
			continue
		}
		draft := ask(1, runtime.Paint, system, caption, plan).Image
		hindsight := ask(1, runtime.Text, prompts.Get(modes.PromptHindsight).Render(caption), file(".jpg")).Text
		reflection := ask(1, runtime.Text, prompts.Get(modes.PromptReflection).Render(caption), draft, file(".jpg")).Text
		own := ask(1, runtime.Text, system, caption, plan, draft).Text
		tr := withTexts(caption, hindsight, reflection)
		tr.Slots[irgdata.SlotDraftThinking].Text = plan
		out = append(out, tr, withTexts(caption, "", own))
	}
	return out
}

// text is one text with its slot and the prompt it answers.
type text struct {
	name, prompt string
	slot         irgdata.Slot
	text         string
}

func texts(name string, tr irgdata.Trajectory) (out []text) {
	for _, slot := range []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotReflection} {
		if s := tr.Slots[slot].Text; s != "" {
			out = append(out, text{name, tr.Slots[irgdata.SlotPrompt].Text, slot, s})
		}
	}
	return out
}

func (x text) with(s string) text { x.text = s; return x }

// insert puts a sentence before the end, or behind the first sentence.
func (x text) insert(sentence string, first bool) text {
	if first {
		return x.with(strings.Replace(x.text, "<think>", "<think>\n"+sentence+" ", 1))
	}
	if x.slot == irgdata.SlotReflection {
		return x.with(strings.Replace(x.text, "\n\n### Detailed", " "+sentence+"\n\n### Detailed", 1))
	}
	return x.with(strings.TrimSpace(strings.TrimSuffix(x.text, "</think>")) + " " + sentence + "</think>")
}

// TestPassAndFail holds the rules, with their suggested defaults, against good
// texts, which they all have to let pass, and against broken ones: of each kind
// its rule has to find at least the share given. Its log is the table of
// docs/filters-texts.md.
func TestPassAndFail(t *testing.T) {
	rules := textRules()
	var log bytes.Buffer
	table := tabwriter.NewWriter(&log, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "texts\tcount\tpass\tby its rule\tfail")
	values := map[string][]float64{} // of the good texts
	examine := func(kind string, all []text, rule string, least float64) {
		rules, passed, found := rules, 0, 0
		if testing.Short() && rule != "" {
			rules = slices.DeleteFunc(slices.Clone(rules), func(r filter.Rule) bool { return r.Name != rule })
		}
		for _, x := range all {
			tr := withTexts(x.prompt, "", "")
			tr.Slots[x.slot].Text = x.text
			reasons := rejects(t, rules, tr)
			if rule == "" {
				for _, r := range rules {
					if slices.Contains(r.Slots, x.slot) {
						value, _ := measure(t, r, tr, x.slot)
						key := r.Name + "\t" + kind
						values[key] = append(values[key], value)
					}
				}
			}
			if len(reasons) == 0 {
				passed++
			}
			if slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, rule+" ") }) {
				found++
			} else if rule != "" && testing.Verbose() {
				t.Logf("%s: %s %s is not found by %s: …%q", kind, x.name, x.slot, rule, x.text[max(0, len(x.text)-90):])
			}
			if rule == "" && len(reasons) > 0 {
				t.Errorf("%s: %s: %s:\n%s", kind, x.name, strings.Join(reasons, "; "), x.text)
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", kind, len(all), passed, found, len(all)-passed)
		if len(all) == 0 || rule != "" && float64(found) < least*float64(len(all)) {
			t.Errorf("%s: rule %s finds %d of %d, want %.0f%%", kind, rule, found, len(all), 100*least)
		}
	}

	pairs := *scenePairs
	if testing.Short() {
		pairs = 1
	}
	var scenery, hand, english []text
	for i, tr := range drawn(t, pairs) {
		scenery = append(scenery, texts(fmt.Sprint("scene ", i), tr)...)
	}
	all := written(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		hand = append(hand, texts(name, all[name])...)
		if name != "chinese" && name != "german" {
			english = append(english, texts(name, all[name])...)
		}
	}
	examine("scenes", scenery, "", 0)
	examine("by hand", hand, "", 0)

	d := rand.New(rand.NewPCG(5, 5))
	var cut, cutScenes []text
	cutAt := func(x text) text {
		s := strings.TrimSpace(strings.TrimSuffix(x.text, "</think>"))
		from := max(len(s)/2, strings.LastIndex(s, "### ")+60)
		for {
			at := from + d.IntN(len(s)-from)
			if s[at] == ' ' && !strings.ContainsRune(".!?\"”", rune(s[at-1])) { // between words, not between sentences
				return x.with(s[:at] + "</think>")
			}
		}
	}
	for _, x := range english {
		for range 4 {
			cut = append(cut, cutAt(x))
		}
	}
	for _, x := range scenery[:min(20, len(scenery))] {
		cutScenes = append(cutScenes, cutAt(x))
	}
	examine("by hand, cut between two words", cut, "truncation", 0.5)
	examine("scenes, cut between two words", cutScenes, "truncation", 0.6)

	var looped, stuttered []text
	for _, x := range slices.Concat(hand, scenery[:10]) {
		s := strings.TrimSpace(strings.TrimSuffix(x.text, "</think>"))
		at := max(0, len(s)-160)
		for at < len(s) && s[at]&0xc0 == 0x80 {
			at++
		}
		looped = append(looped, x.with(s+strings.Repeat(" "+s[at:], 20)+"</think>"))
		w := strings.Fields(s)
		stuttered = append(stuttered, x.with(s+strings.Repeat(" "+strings.Join(w[len(w)-2:], " "), 200)+"</think>"))
	}
	examine("last sentences 20 times", looped, "repetition", 1)
	examine("last words 200 times", stuttered, "compression", 0.8)

	var refused []text
	for i, sentence := range []string{
		"I'm sorry, but I can't help with that request.", "I’m sorry, but I cannot assist with this.", "As an AI language model, I do not have personal preferences.",
		"I apologize, but I'm unable to create this content.", "Sorry, I can't view the image you mentioned.", "I cannot provide a plan for this picture.",
		"As an AI, I can only describe what was asked.", "I'm unable to view images directly.", "This request violates our content policy.", "I must decline.",
		"I'm not able to help create this image.", "Unfortunately, I can't comply with this request.", "I am sorry, but I am not able to describe this person.", "My guidelines prevent me from discussing this.",
		"I'm just an AI and cannot see pictures.", "I'm really sorry, but I can't assist with that.", "I won't be able to fulfill this request.", "As an AI developed by Alibaba, I cannot judge art.",
		"This content goes against my guidelines.", "It would not be appropriate for me to continue.", "I can't identify people in images.", "Sorry, but I cannot continue with this.",
	} {
		for _, first := range []bool{true, false} {
			refused = append(refused, english[i%len(english)].insert(sentence, first))
		}
	}
	examine("with a refusal", refused, "refusal", 1)

	var chatty []text
	for i, x := range english {
		opening := []string{"Sure! Here is the plan:", "Certainly, here is my thinking.", "Of course! Let's begin.", "Here is the revised prompt:", "Absolutely! I will plan this picture."}
		ending := []string{"Let me know if you would like any changes!", "I hope this helps!", "Feel free to ask for adjustments.", "If you have any questions, just ask.", "Would you like me to go on?"}
		chatty = append(chatty, x.insert(opening[i%len(opening)], true), x.insert(ending[i%len(ending)], false))
	}
	examine("with chatter", chatty, "chatter", 1)

	var foreign, half []text
	for _, x := range english {
		for _, other := range []string{"chinese", "german"} {
			y := all[other].Slots[x.slot].Text
			if x.name != "short" { // too short to be of a language, and so to say no to German
				foreign = append(foreign, x.with(y))
			}
			if x.slot == irgdata.SlotThinking && other == "chinese" {
				half = append(half, x.with(strings.TrimSuffix(x.text, "</think>")+strings.TrimPrefix(y, "<think>")))
			}
		}
	}
	examine("in another language", foreign, "language", 0.8)
	examine("Chinese from the middle on", half, "language", 0.7)

	var leaky []text
	for i, sentence := range []string{
		"The second image has a warmer light.", "Compared to the improved image, the colors are dull.", "The improved image shows a clearer sky.", "Image 2 is much sharper.",
		"Both images share the same layout.", "The edges should match the reference.", "As in the reference image, the table is darker.", "The ground truth has more contrast.",
		"In img_001.png the sky is blue.", "The other picture solves this with a softer shadow.", "While the enhanced image has finer texture, this one is flat.", "The two pictures differ in color.",
		"Unlike the final image, it lacks depth.", "There is a clear difference between the first and second image.",
	} {
		for j := range 2 {
			x := english[(2*(i+j)+1)%len(english)] // a reflection
			if x.name == "gallery" {
				x = english[1]
			}
			leaky = append(leaky, x.insert(sentence, j == 0))
		}
	}
	examine("with leakage", leaky, "leakage", 1)

	// Those below were written after the patterns, which were not changed for
	// them: they say more of what the rules find in the world.
	var unseenRefusals, nothingElse, unseenChatter, unseenLeaks, unseenGood []text
	for i, sentence := range []string{
		"I'm sorry, I can't do that.", "I regret that I cannot fulfil your request.", "I do not feel comfortable describing this scene.", "As a responsible AI, I have to refuse.", "Unfortunately, I am unable to generate this.",
		"I can’t discuss that topic.", "I cannot create images of real people.", "My apologies, but this is something I cannot do.", "I am an AI assistant and have no access to pictures.", "I won't be generating this plan.", "对不起，我不能回答这个问题。", "I'm unable to comply.",
	} {
		unseenRefusals = append(unseenRefusals, english[i].insert(sentence, i%2 == 0))
		nothingElse = append(nothingElse, english[0].with("<think>"+sentence+"</think>"))
	}
	for i, sentence := range []string{
		"Sure thing, let's do it.", "Here is how I would describe it:", "Understood! I will write a plan.", "Thanks for the prompt!", "Yes, of course!", "Absolutely, here you go:",
	} {
		unseenChatter = append(unseenChatter, english[i].insert(sentence, true))
	}
	for i, sentence := range []string{
		"Let me know how it turns out.", "Do you want me to change the light?", "If you have any further questions, I am here.", "You can adjust this to your taste.", "Hope you like it!", "I would be glad to make a second version.",
	} {
		unseenChatter = append(unseenChatter, english[i].insert(sentence, false))
	}
	for i, sentence := range []string{
		"The second picture fixes these problems.", "In contrast to the second image, the sky is dull.", "The target image has a warmer palette.", "The improved version clearly handles the hands better.", "Comparing the two images, the left one is blurry.",
		"The reference shows five fingers.", "The color should be changed to resemble the reference image.", "From image 1 to image 2, the contrast rises.", "The finished picture that was provided has a softer light.", "The updated image corrects the wing.",
		"It differs from the ground-truth image in the sky.", "The first image is blurry, while the second one is crisp.", "The other version looks more natural.", "As shown in the improved picture, the fur is finer.",
	} {
		x := english[(2*i+1)%len(english)]
		if x.name == "gallery" {
			x = english[1]
		}
		unseenLeaks = append(unseenLeaks, x.insert(sentence, false))
	}
	for i, sentence := range []string{
		"I am not satisfied with the second row of windows.", "Compared to the prompt, the image lacks warmth.", "The other half of the picture is empty.", "The final picture will have a warmer palette.", "For reference, a cup is about 10 cm tall.",
		"The hands look wrong, so I cannot leave them like this.", "To match the prompt, two more birds are needed.", "Both the cat and the dog face the viewer.", "An improved version of the sky would have clouds.", "I hope to bring out the texture of the wool.",
		"Sure strokes suit this style.", "The first version of the sky was too dark.", "Here, the light is too flat.", "The image is fine at the top; its second half needs work.", "If you look at the eyes, they are uneven.",
		"The improved picture must keep the layout.", "This makes the image better than before.", "It is a picture within a picture.", "There is no ground to stand on.", "Thanks to the low sun, the shadows are long.",
	} {
		unseenGood = append(unseenGood, english[(2*i+1)%len(english)].insert(sentence, i%2 == 0))
	}
	examine("with a refusal, unseen", unseenRefusals, "refusal", 0.5)
	examine("nothing but a refusal, unseen", nothingElse, "coverage", 0.9)
	examine("with chatter, unseen", unseenChatter, "chatter", 0.7)
	examine("with leakage, unseen", unseenLeaks, "leakage", 0.9)
	examine("with harmless likenesses, unseen", unseenGood, "", 0)

	var exchanged []text
	for i, x := range english {
		if x.name != "short" {
			exchanged = append(exchanged, x.with(english[(i+2)%len(english)].text), x.with(english[(i+6)%len(english)].text))
		}
	}
	examine("for another prompt", exchanged, "coverage", 0.8)

	fmt.Fprintln(table, "\nrule\ttexts\tleast\tmedian\tmost")
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v := slices.Sorted(slices.Values(values[key]))
		fmt.Fprintf(table, "%s\t%.3g\t%.3g\t%.3g\n", key, v[0], v[len(v)/2], v[len(v)-1])
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + log.String())
}

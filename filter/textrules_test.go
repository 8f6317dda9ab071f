package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/filter"
)

// TestTextRules shows what each rule with its suggested default lets pass and
// what not.
func TestTextRules(t *testing.T) {
	const (
		thinking, reflection, prompt = irgdata.SlotThinking, irgdata.SlotReflection, irgdata.SlotPrompt
		fox                          = "two red foxes under a tall pine tree in the snow, one of them holding a blue lantern with a small flame in it"
		english                      = "The foxes stand close together under the pine, and the lantern lights their faces from below. "
	)
	for _, tc := range []struct {
		rule filter.Rule
		slot irgdata.Slot
		// prompt is that of the pair; pass and fail are texts of the slot.
		prompt     string
		pass, fail []string
	}{
		{filter.Truncation(0.5), thinking, fox, []string{
			"<think>A fox.</think>", `A sign that says "Open."`, "Is it snow? (Yes, much of it.)", "一只猫坐在窗台上。", "**Light**: soft.", "Soft light, 8k, highly detailed",
			"Shot with f/1.8", "A fox under a pine. Warm light, fine fur, 8k", "1. Move the fox\n2. Light the lantern", "A calm scene 😀", `a 24" screen`, "",
			"A photo of a fox that is asleep, 8k", "Das Boot ist rot.", "The light is on…",
		}, []string{
			"<think>The fox is red. The lantern is in the</think>", "A fox, a pine,", "The steps are:", "1. Move the fox.\n2.", "1. Move the fox.\n2. Light it.\n3. Sharpen its fur",
			"The fox is red (and its tail", "It reads \"Hello", "It reads “Hello", "The fox is red. The pine should be taller", "3. **Light", "The fox stands. The snow falls. A blue lantern hangs near", "- ",
			"一只猫坐在窗台上，", "The fox holds a lantern and",
		}},
		{filter.Repetition(0.3), thinking, fox, []string{
			english, "red red red red", strings.Join([]string{"1. Paint the red fox.", "2. Paint the blue lantern.", "3. Paint the pine."}, "\n"), english + "It snows. " + "And so it has to look.",
		}, []string{
			strings.Repeat(english, 4), "<think>" + english + strings.Repeat("the fox ", 50) + "</think>", strings.Repeat("1. Move the fox to the left. 2. Move the fox to the left. ", 6), strings.Repeat("狐狸在雪地里", 20),
		}},
		{filter.Compression(5), thinking, fox, []string{english, "", "a", strings.Repeat(english, 3)}, []string{strings.Repeat(english, 12), strings.Repeat("!", 200), strings.Repeat("foxfox", 100)}},
		{filter.Refusal(), thinking, `a robot with the words "As an AI language model"`, []string{
			"I can't see the cat in the previous image.", "I cannot help but notice the blur.", "I'm sorry for the fox, so its eyes are sad.", "The robot says: as an AI language model.",
			"I can't use red here, since the fox is red.", "The guard refuses to open the gate.", "I am unable to make out the reins.",
		}, []string{
			"<think>I'm sorry, but I can't help with that.</think>", "<think>\n\nSorry, I cannot do this.", "I’m unable to view images.", "As an AI, I have no eyes.", "As a large language model I cannot paint.",
			"A fox. However, I cannot assist with this.", "抱歉，我无法生成这张图片。", "Es tut mir leid, aber ich kann das nicht.", "I cannot provide a description.",
		}},
		{filter.Chatter(), thinking, `a sign that says "I hope this helps"`, []string{
			"The sign reads \"I hope this helps\" in white.", "It certainly needs light.", "Of course the fox is red.", "Sure footing on the rock is needed.", "Let me think about the light.", "The light lets me know if it is day.",
			"Here is the fox, red and small.", "Okay, so the fox sits on the left.", "The user wants a fox.", "Understood as a symbol, the fox is alone.",
		}, []string{
			"<think>Sure! Here is the plan.</think>", "<think>\nCertainly, I will do so.", "**Certainly!** The fox", "Of course! A fox.", "A fox. Let me know if you want another.", "A fox.\nHope it helps!", "Feel free to adjust the colors.",
			"Okay, here's the revised prompt: a fox", "A fox. Would you like me to change it?", "User: a fox\nAssistant: yes", "A fox. I'd be happy to help.", "Absolutely. The fox is red.",
		}},
		{filter.Chatter(), thinking, "a treasure chest", []string{"Sure footing."}, []string{"Sure! A chest."}}, // the prompt has no "Sure!"
		{filter.Language(0.25), thinking, fox, []string{
			english + english + english, "Ein Fuchs.", "", "12345", `The sign says "狐狸" in red. ` + english + english, "Der Fuchs.",
		}, []string{
			"两只红色的狐狸坐在高大的松树下，其中一只提着蓝色的灯笼。", english + strings.Repeat("狐狸提着蓝色的灯笼。", 12), "Две рыжие лисы под высокой сосной.",
			"Die Füchse stehen unter der hohen Kiefer im Schnee, und einer von ihnen hält eine blaue Laterne, deren Licht die Gesichter von unten beleuchtet und lange Schatten wirft.",
		}},
		{filter.Language(0.25), thinking, "猫", []string{"一只猫坐在窗台上，窗外下着大雪。"}, []string{english}},
		{filter.Language(0.25), thinking, "kitty", []string{english, "Die Füchse stehen unter der hohen Kiefer im Schnee, und einer von ihnen hält eine blaue Laterne."}, nil},
		{filter.Coverage(0.2), thinking, fox, []string{
			"A pair of crimson foxes below a pine, a lantern in blue, snow all around.", english, "The 2 foxes hold lanterns.",
		}, []string{"A cat on a sofa.", "I plan a good picture."}},
		{filter.Coverage(0.2), reflection, fox, []string{goodReflection[:strings.Index(goodReflection, "A red circle.")] + "Two red foxes under a pine."}, []string{goodReflection, "Two red foxes.\n" + goodReflection}},
		{filter.Coverage(0.2), thinking, "cat", []string{"A kitten.", "Something else."}, nil},
		{filter.Coverage(0.2), thinking, "两只红色的狐狸坐在高大的松树下", []string{"两只狐狸在松树下。", english}, []string{"一艘船。"}},
		{filter.Leakage(), reflection, fox, []string{
			goodReflection, "The previous image is dull. The improved image should show two foxes.", "Make sure the improved image includes both foxes.", "In the image, the fox is brown.", "The second fox is missing.",
			"The image needs a second light.", "Add a reference to the season.", "The final image must be crisp.", "Both foxes look left.", "A frame of reference for the viewer helps.", "In the image 2 foxes can be seen.", "Leave the image a and o of it.",
		}, []string{
			"The second image is warmer.", "the improved image shows a fox.", "Compared to the improved picture it is dull.", "Image 2 is better.", "Both images show foxes.", "It should match the reference.", "See the reference image.",
			"as in ground truth", "In img_001.png, the fox is red.", "Unlike the edited version, it is dull.", "Picture B has more light.", "The two pictures differ.", "**Image 1**: dull", "It should look like the reference.",
		}},
		{filter.Leakage(), reflection, "two pictures on a wall, one of a file photo.png", []string{"The second picture hangs too low.", "Both pictures are dull.", "It reads photo.png."}, []string{"Match the reference."}},
		{filter.Leakage(), thinking, fox, []string{"The image shall be warm.", "Two foxes in the picture."}, []string{"In the provided image, the fox is red.", "As in the reference image, it snows."}},
		{filter.Length(5, nil), thinking, fox, []string{"<think>One red fox.</think>"}, []string{"One two three four five six."}},
		{filter.Length(5, func(s string) int { return len(s) }), prompt, "", []string{"12345"}, []string{"123456"}},
		{filter.Personal(0), prompt, "", []string{
			"a fox", "a 1920x1080 wallpaper, 16:9, ISO 100, f/1.8", "on 2024-01-15 at 12:30:45", "mail to me@example.com", "call 555-0123 or (212) 555-0123", "version 10.2.3.4", "server 192.168.0.1", "card 4111 1111 1111 1112",
			"RGB 255.255.255", "@fox_painter", "serial 1234 5678 9012 3456", "DE00 1234 5678 9012 3456 78", "1,000,000 stars", "the year 2024 2025 2026", "#ff00ff ::", "3.5 + 4.5", "chapter 12:34:56",
		}, []string{
			"write to anna.fox@mail.forest.de", "ring +49 30 901820 12", "+1 (212) 736-5000", "(212) 736-5000", "212-736-5000", "card 4111 1111 1111 1111", "4111111111111111", "378282246310005", "IBAN DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432",
			"host 8.8.8.8", "2001:4860:4860::8888",
		}},
		{filter.SpecialTokens(), prompt, "", []string{"a <| b |> c", "im_end", "a < b | c > d", "<im_end>"}, []string{"a fox <|im_end|>", "<|vision_start|>", "<|image_pad|><|image_pad|>"}},
		{filter.SpecialTokens(), thinking, fox, []string{"<think>A fox.</think>"}, []string{"<think>A fox.<|im_end|></think>"}},
		{filter.WordList(0, []string{"Ass", "straße", "blue fox"}, []string{"狐狸", "-"}), prompt, "", []string{"a bass player, classy", "a blue, but no fox", "foxes"}, []string{"an ASS", "die STRASSE", "a Blue  Fox", "a blue-fox.", "红狐狸", "ass"}},
	} {
		for _, want := range []bool{true, false} {
			for _, text := range map[bool][]string{true: tc.pass, false: tc.fail}[want] {
				var tr irgdata.Trajectory
				tr.Slots[prompt].Text = tc.prompt
				tr.Slots[tc.slot].Text = text
				if value, reason := measure(t, tc.rule, tr, tc.slot); (reason == "") != want {
					t.Errorf("%s: prompt %q, %s %q: measured %.3g, %q", tc.rule.Name, tc.prompt, tc.slot, text, value, reason)
				}
			}
		}
	}
}

// TestFixedNumbers: stored numbers stay comparable. Where one of these changes,
// with a library perhaps, the rule needs another version.
func TestFixedNumbers(t *testing.T) {
	tr := written(t)["dragon"]
	for _, tc := range []struct {
		rule  filter.Rule
		value float64
	}{{filter.Compression(5), 1.999}, {filter.Coverage(0.2), 1}} {
		if value, _ := measure(t, tc.rule, tr, irgdata.SlotReflection); value < tc.value-0.0005 || value > tc.value+0.0005 {
			t.Errorf("rule %s measures %.3f, want %.3f", tc.rule.ID(), value, tc.value)
		}
	}
}

// TestPromptLanguage: prompts in other languages are rejected where the
// language is sure, and only then.
func TestPromptLanguage(t *testing.T) {
	config, _, err := filter.Config{Rules: []filter.Entry{{Rule: "prompt_language", Parameters: map[string]any{"languages": []any{"en", "zh"}}}}}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := config.New(filter.Environment{})
	if err != nil || len(rules) != 1 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	for language, passes := range map[string]bool{"en": true, "zh": true, "de": false, "fr": false, "und": true, "": true} {
		tr := irgdata.Trajectory{Pair: irgdata.Pair{Language: language}}
		if _, reason := measure(t, rules[0], tr, irgdata.SlotPrompt); (reason == "") != passes {
			t.Errorf("%q: %q", language, reason)
		}
	}
	a, _ := filter.PromptLanguage([]string{"zh", "en", "en"})
	if b, _ := filter.PromptLanguage([]string{"en"}); a.ID() != rules[0].ID() || b.ID() == a.ID() {
		t.Errorf("got %s, %s and %s", a.ID(), b.ID(), rules[0].ID())
	}
	if _, err := filter.PromptLanguage([]string{"english"}); err == nil || !strings.Contains(err.Error(), `no language "english"`) {
		t.Errorf("got %v", err)
	}
}

// TestWordListFiles: the lists of a configuration are read from files.
func TestWordListFiles(t *testing.T) {
	files := map[string]string{"a.txt": "fox\n\nblue lantern\n", "b.txt": "pine"}
	config, _, err := filter.Config{Rules: []filter.Entry{{Rule: "word_list", Parameters: map[string]any{"files": []any{"a.txt", "b.txt"}, "max": 1}}}}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := config.New(filter.Environment{Read: func(path string) (string, error) { return files[path], nil }})
	if err != nil || len(rules) != 1 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	for prompt, passes := range map[string]bool{"a fox": true, "a blue lantern": true, "a lantern, blue": true, "a fox under a pine": false, "Blue Lantern, blue lantern": false} {
		if _, reason := measure(t, rules[0], withTexts(prompt, "", ""), irgdata.SlotPrompt); (reason == "") != passes {
			t.Errorf("%q: %q", prompt, reason)
		}
	}
	missing := errors.New("there is no such file")
	if _, key, err := config.New(filter.Environment{Read: func(string) (string, error) { return "", missing }}); !errors.Is(err, missing) || key != "rules[0]" {
		t.Errorf("got %s: %v", key, err)
	}
}

// TestWordListVersion: the number depends on the words, not on their order.
func TestWordListVersion(t *testing.T) {
	a, b, c := filter.WordList(0, []string{"a", "B"}), filter.WordList(1, []string{"b"}, []string{"A", "a"}), filter.WordList(0, []string{"a"})
	if a.ID() != b.ID() || a.ID() == c.ID() {
		t.Errorf("got %s, %s and %s", a.ID(), b.ID(), c.ID())
	}
}

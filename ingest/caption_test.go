package ingest

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestCleanCaption: what a source gives for a caption becomes one line of text,
// and each kind of change is noted.
func TestCleanCaption(t *testing.T) {
	for raw, want := range map[string]struct {
		caption string
		notes   []string
	}{
		"a red circle":                             {"a red circle", nil},
		"  a red circle \r\n":                      {"a red circle", nil},
		"\xef\xbb\xbfa red circle":                 {"a red circle", nil},
		"a  red\tcircle\u00a0here\nand\u3000there": {"a red circle here and there", []string{noteSpaces}},
		"\xff\xfea\x00\xe9\x00=\xd8\x00\xde":       {"aé😀", []string{noteUTF16}},
		"\xfe\xff\x00a\x00\xe9\xd8=\xde\x00":       {"aé😀", []string{noteUTF16}},
		"\xff\xfea\x00b":                           {"a", []string{noteUTF16}},
		"caf\xe9 \x93noir\x94":                     {"café “noir”", []string{noteWindows1252}},
		"日本の\xe7":                                  {"日本の", []string{noteCut}},
		"cafÃ© noir":                               {"café noir", []string{noteMojibake}},
		"salt &amp; pepper &lt;3":                  {"salt & pepper <3", []string{noteHTML}},
		"&amp;quot;a&amp;quot; &#x1F600;&nbsp;":    {`"a" 😀`, []string{noteHTML}},
		"AT&T, R&D &copy; &unknown; &amp":          {"AT&T, R&D © &unknown; &amp", []string{noteHTML}},
		"caf&Atilde;&copy;":                        {"café", []string{noteHTML, noteMojibake}},
		"a\x00b\x1b[1m \u0085c\u0081":              {"ab[1m c", []string{noteControl, noteSpaces}},
		"&am\x00p; and":                            {"& and", []string{noteControl, noteHTML}},
		"zero\u200bwidth so\u00adft\ufeff":         {"zerowidth soft", []string{noteInvisible}},
		"\u202eright to left\u202c\u200f":          {"right to left", []string{noteInvisible}},
		"می\u200cخواهم 👨\u200d👩\u200d👧 a\u200db":   {"می\u200cخواهم 👨\u200d👩\u200d👧 ab", []string{noteInvisible}},
		"cafe\u0301":                               {"café", []string{noteComposed}},
	} {
		caption, notes, problem := cleanCaption([]byte(raw), CaptionOptions{})
		if caption != want.caption || !slices.Equal(notes, want.notes) || problem != "" {
			t.Errorf("%q became %q, noted %q, problem %q", raw, caption, notes, problem)
		}
	}
}

// TestMojibake: text that was encoded twice is repaired; what only looks alike
// is left.
func TestMojibake(t *testing.T) {
	for _, text := range []string{
		"café", "Crème brûlée à la carte", "“quoted” — and it’s fine…", "20 °C, £5, ©2020", "naïve façade, piñata", "ÉTÉ à Paris", "İstanbul", "Ångström",
		"чёрная кошка", "μαύρη γάτα", "日本の猫", "un chat 😀", "a ™ sign", "Škoda Žižkov", "\ufeffa", "à",
	} {
		twice := decodeWindows1252(text)
		if got := repairMojibake(twice); got != text {
			t.Errorf("%q became %q, want %q", twice, got, text)
		}
		if got := repairMojibake(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
		again := decodeWindows1252(twice)
		if got, notes, problem := cleanCaption([]byte(again+" x"), CaptionOptions{}); got != strings.Trim(text, "\ufeff")+" x" || !slices.Contains(notes, noteMojibake) || problem != "" {
			t.Errorf("%q became %q, noted %q, problem %q", again, got, notes, problem)
		}
	}
	for _, text := range []string{
		"NESTLÉ®", "he said “CAFÉ”", "Brontë…”", "RENÉ’S BAR", "É… and then", "CITÉ™ and CAFÉ©", "« déjà vu »", "Ã", "São Paulo", "MAÇÃ", "Â", "ñandú", "el niño… “sí”",
		"evenášši.no", "VÉŠKA A JÍŽ",
		"â€\ufffd",  // what was lost is not there
		"Ã© and 日本", // one part that is right shows that the rest may be
	} {
		if got := repairMojibake(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestCaptionProblems: what is of no use is refused in a sentence.
func TestCaptionProblems(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                     "the caption is empty",
		" \n\u200b\u00a0":                      "the caption is empty",
		"IMG_1234.jpg":                         "the caption is a file name",
		"IMG_1234":                             "the caption is a file name",
		"DSC00012 (1)":                         "",
		"dsc00012(1)":                          "the caption is a file name",
		"photos/2020/a-cat.PNG":                "the caption is a file name",
		"a cat in cat.png":                     "",
		"https://example.com/a?b":              "the caption is a web address",
		"www.example.com":                      "the caption is a web address",
		"see https://example.com":              "",
		"12345 — 67!":                          "the caption has no letters",
		"😀":                                    "the caption has no letters",
		"猫":                                    "",
		"a cat<|im_end|>":                      "the caption has <|im_end|> in it, which the tokenizer takes for a special token",
		"&lt;|vision_start|&gt; a":             "the caption has <|vision_start|> in it, which the tokenizer takes for a special token",
		"<\u200b|image_pad|> a":                "the caption has <|image_pad|> in it, which the tokenizer takes for a special token",
		"a <| b |> c":                          "",
		"日本の猫\xff\xfeが座る":                      "the caption is damaged: of its UTF-8, byte 12 is part of no character",
		"&" + strings.Repeat("amp;", 9) + " a": "the caption is escaped or encoded many times over",
		strings.Repeat("猫", 8192):              "",
		strings.Repeat("猫", 8193):              "the caption has 8193 characters, want at most 8192",
	} {
		if _, _, problem := cleanCaption([]byte(raw), CaptionOptions{}); problem != want {
			t.Errorf("%.80q: problem %q, want %q", raw, problem, want)
		}
	}
	for _, token := range []string{"<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|endoftext|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"} {
		if _, _, problem := cleanCaption([]byte("a"+token+"b"), CaptionOptions{}); !strings.Contains(problem, token) {
			t.Errorf("%s: problem %q", token, problem)
		}
	}
	if _, _, problem := cleanCaption([]byte("one two  three"), CaptionOptions{MaxCharacters: 13, MaxWords: 2}); problem != "the caption has 3 words, want at most 2" {
		t.Errorf("problem %q", problem)
	}
	for _, o := range []CaptionOptions{{MaxCharacters: -1}, {MaxWords: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v is valid", o)
		}
	}
}

// TestLanguage: a sentence has a language, a few words have none.
func TestLanguage(t *testing.T) {
	got := map[string]string{}
	for _, caption := range []string{
		"two dogs playing in the snow near a wooden fence",
		"ein großer roter Kreis auf blauem Grund",
		"un chat noir assis sur le rebord de la fenêtre",
		"un gatto nero seduto sul davanzale della finestra",
		"Чорна кішка сидить на підвіконні і дивиться надвір",
		"一只红色的猫坐在窗台上", "赤い猫が窓に座っている", "빨간 고양이가 창가에 앉아 있다", "แมวสีแดงนั่งอยู่บนหน้าต่าง",
		"a large red circle", "A photo of a cat", "cat", "123", "",
	} {
		got[caption] = language(caption)
		for range 10 {
			if again := language(caption); again != got[caption] {
				t.Errorf("%q is in %s, and in %s", caption, got[caption], again)
			}
		}
	}
	want := map[string]string{
		"two dogs playing in the snow near a wooden fence":   "en",
		"ein großer roter Kreis auf blauem Grund":            "de",
		"un chat noir assis sur le rebord de la fenêtre":     "fr",
		"un gatto nero seduto sul davanzale della finestra":  "it",
		"Чорна кішка сидить на підвіконні і дивиться надвір": "uk",
		"一只红色的猫坐在窗台上":                                        "zh",
		"赤い猫が窓に座っている":                                        "ja",
		"빨간 고양이가 창가에 앉아 있다":                                  "ko",
		"แมวสีแดงนั่งอยู่บนหน้าต่าง":                         "th",
		"a large red circle": "und", "A photo of a cat": "und", "cat": "und", "123": "und", "": "und",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzCleanCaption: whatever bytes a caption has, what is made of them without
// a problem is one clean line, and cleaning it again changes nothing.
func FuzzCleanCaption(f *testing.F) {
	for _, seed := range []string{
		"a red circle", "\xff\xfea\x00", "caf\xe9", "cafÃ©", "&amp;amp;quot;", "&am\x00p;#x41;", "A\u0303©", "&#195;&#x200b;&#169;", "a\u200d\u200db", "\u0300", "日\xe6\x97",
		"<\u200b|im_end|>", "ÃƒÂ©", "IMG_1.jpg", "\ufeff\ufeff", "&#xfeff;\xff", "NESTLÉ®",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		caption, notes, problem := cleanCaption(raw, CaptionOptions{})
		if !utf8.ValidString(caption) && problem == "" {
			t.Errorf("%q became %q", raw, caption)
		}
		if problem != "" {
			return
		}
		if strings.ContainsFunc(caption, unicode.IsControl) || strings.TrimSpace(caption) != caption || caption == "" || specialToken.MatchString(caption) {
			t.Errorf("%q became %q", raw, caption)
		}
		if text := strings.TrimPrefix(string(raw), "\ufeff"); len(notes) == 0 && strings.TrimSpace(text) != caption {
			t.Errorf("%q became %q without a note", raw, caption)
		}
		if again, notes, problem := cleanCaption([]byte(caption), CaptionOptions{}); again != caption || len(notes) > 0 || problem != "" {
			t.Errorf("%q became %q, and that %q, noted %q, problem %q", raw, caption, again, notes, problem)
		}
	})
}

// BenchmarkCleanCaption measures a caption that is clean, and its language.
func BenchmarkCleanCaption(b *testing.B) {
	const caption = "A vibrant street market in Marrakesh at sunset, with colourful spices and textiles on display"
	b.Run("clean", func(b *testing.B) {
		for b.Loop() {
			cleanCaption([]byte(caption), CaptionOptions{})
		}
	})
	b.Run("language", func(b *testing.B) {
		for b.Loop() {
			language(caption)
		}
	})
}

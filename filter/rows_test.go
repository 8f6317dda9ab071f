package filter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// TestEstimatedTokens holds the estimate against the real vocabulary, in a folder
// that internal/tokenizer/testdata/make.py --qwen made.
func TestEstimatedTokens(t *testing.T) {
	folder := os.Getenv("IRGDATA_QWEN_TOKENIZER")
	if folder == "" {
		t.Skip("IRGDATA_QWEN_TOKENIZER names no folder with Qwen's tokenizer")
	}
	tok, err := tokenizer.Open(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	// check wants the estimate to be so many times the tokens.
	check := func(name, text string, least, most float64) {
		tokens, words := tok.Count(text), len(words(text))
		share := float64(estimatedTokens(text)) / float64(tokens)
		t.Logf("%-28s %4d tokens, %.2f bytes and %.2f words each, estimated %.2f times", name, tokens, float64(len(text))/float64(tokens), float64(words)/float64(tokens), share)
		if share < least || share > most {
			t.Errorf("%s: the estimate is %.2f times the tokens, want %.1f to %.1f", name, share, least, most)
		}
	}
	files, err := filepath.Glob("testdata/texts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no texts", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if text := strings.TrimSpace(string(f.Data)); len(text) > 40 {
				check(filepath.Base(file)+" "+f.Name, text, 1.1, 1.8)
			}
		}
	}
	prompts := modes.DefaultPrompts()
	for _, name := range prompts.Names() {
		check("template "+name, prompts.Get(name).Text, 1.1, 1.8)
	}
	for i := range 10 {
		caption, _ := scenes.Sample(3, i)
		plan, err := scenes.New().Generate(t.Context(), runtime.Request{Want: runtime.Text, Context: []runtime.Part{runtime.TextPart("system"), runtime.TextPart(caption)}})
		if err != nil {
			t.Fatal(err)
		}
		check("a plan of the scenes world", plan.Text, 1.1, 1.9)
	}
	for language, text := range map[string]string{
		"French":   "L'image montre une sphère bleue à côté d'un carré rouge, éclairés par la lune.",
		"Russian":  "На картинке красный куб стоит на столе, а свет падает слева. Тени мягкие и тёплые, фон светлый.",
		"Japanese": "テーブルの上に赤い立方体があります。光は左から当たっています。影は柔らかく、背景は明るいです。",
		"Korean":   "그림에는 나무 탁자 위에 빨간 정육면체가 있습니다. 빛은 왼쪽에서 들어옵니다.",
		"Arabic":   "الصورة تظهر مكعبا أحمر على طاولة خشبية والضوء يأتي من اليسار.",
		"Thai":     "ภาพแสดงลูกบาศก์สีแดงบนโต๊ะ แสงมาจากด้านซ้าย",
	} {
		check(language, text, 1, 1.9)
	}
	check("Hindi", "चित्र में मेज पर एक लाल घन है और प्रकाश बाईं ओर से आता है।", 0.9, 1)
	check("Greek", "Η εικόνα δείχνει έναν κόκκινο κύβο πάνω σε ένα τραπέζι.", 0.6, 1)
}

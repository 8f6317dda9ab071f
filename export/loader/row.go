package loader

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/tokenizer"
	"github.com/irgdata/irgdata/modes"
)

// Rules are what the loader passes over rows, parts and files by, and what it
// reads otherwise than it was written. docs/export-irg.md explains each.
const (
	// Of rows: the row is not trained on.
	RuleNoConversation = "no-conversation"
	RuleNotJSON        = "not-json"
	RuleForm           = "form"
	RuleSurrogate      = "surrogate"
	RuleNothing        = "nothing"
	RuleTooLong        = "too-long"
	// Of row groups and files: none of their rows is read.
	RuleGroup       = "row-group"     // reading it raises an exception
	RuleRemainder   = "remainder"     // it is dealt to no reader
	RuleFile        = "file"          // its footer cannot be read
	RuleNotListed   = "not-listed"    // it lies in a deeper folder, or is named otherwise
	RuleCut         = "num_used_data" // fewer files are used than there are
	RuleParquetInfo = "parquet_info"  // fewer row groups are told of than there are
	// Of parts: the rest of the row is trained on without it.
	RuleRole      = "role"
	RuleUser      = "user-content"
	RuleAssistant = "assistant-content"
	RuleType      = "part-type"
	RuleEmpty     = "empty"
	RuleBase64    = "base64"
	RuleUnopened  = "image-not-opened"
	RuleNoFlag    = "image-without-flag"
	// Of parts: they are trained on, and are not what was written.
	RuleControl = "control-token"
	RuleDamaged = "image-damaged"
	RuleSeen    = "image-seen-otherwise"
	// Of packs: training on the export alone fails.
	RuleNoVAE       = "no-vae-image"
	RuleNoViT       = "no-vit-image"
	RuleNoTextLoss  = "no-text-loss"
	RuleNoImageLoss = "no-image-loss"
)

// Parser makes of a row what the loader and the packer make of it. It is safe
// for concurrent use; its fields are not modified.
type Parser struct {
	VAE, ViT modes.Transform
	// Tokenizer is the checkpoint's. Without one texts count no tokens.
	Tokenizer *tokenizer.Tokenizer
	// Limit is the trainer's max_num_tokens_per_sample; 0 means no limit. A
	// mandatory mode passes over a sample that has exactly as many, now and
	// then; other modes train on it.
	Limit     int
	Mandatory bool
	// Decode decodes each image to its end, to find those that are damaged,
	// which the loader fills up with grey, or drops.
	Decode bool
}

// Row is what becomes of a row.
type Row struct {
	// Lost says why the row is not trained on; nil if it is.
	Lost *Finding
	// Parts are those of its parts that are lost or read otherwise.
	Parts []Finding
	// Texts, Images and Tokens count what is read of the row, or would be if it
	// were not too long. An image that enters twice is one image.
	Texts, Images, Tokens int

	holds holds
}

// Finding is something about a row or a part that the loader keeps to itself.
type Finding struct {
	Rule string
	// Detail is about this very part, for people.
	Detail string
	// Text and Image say which kind of part it is about.
	Text, Image bool
	// Read says that the part is trained on all the same.
	Read bool
}

// Parse reads the value of a row's conversation column: a text, or bytes of
// JSON in UTF-8.
func (p *Parser) Parse(conversation string) Row {
	v, err := parseJSON(conversation)
	if err != nil {
		rule := RuleNotJSON
		if err == errNested {
			rule = RuleForm
		}
		return Row{Lost: &Finding{Rule: rule, Detail: err.Error()}}
	}
	r := &rowParser{Parser: p}
	if lost := r.conversation(v); lost != nil {
		return Row{Lost: lost}
	}
	if r.plan == 0 {
		r.Lost = &Finding{Rule: RuleNothing, Detail: "no part of it is read"}
		return r.Row
	}
	r.Tokens += modes.MarksPerEntry * r.plan
	if r.Limit > 0 && (r.Tokens > r.Limit || p.Mandatory && r.Tokens == r.Limit) {
		r.Lost = &Finding{Rule: RuleTooLong, Detail: fmt.Sprintf("it has %d tokens, the limit is %d", r.Tokens, r.Limit)}
	}
	return r.Row
}

type rowParser struct {
	*Parser
	Row
	plan int // entries of the sequence plan
}

// raised is a finding of an exception that ends the row.
func raised(format string, args ...any) *Finding {
	return &Finding{Rule: RuleForm, Detail: fmt.Sprintf(format, args...)}
}

func (r *rowParser) part(f Finding) { r.Parts = append(r.Parts, f) }

func (r *rowParser) conversation(v any) *Finding {
	turns, ok := v.([]any)
	if !ok && truthy(v) || v == nil {
		return raised("the conversation is %s, want a list of turns", kind(v))
	}
	for _, t := range turns {
		turn, ok := t.(map[string]any)
		if !ok {
			return raised("a turn is %s, want an object", kind(t))
		}
		role, content := turn["role"], turn["content"]
		if !truthy(role) || !truthy(content) {
			r.lostTurn(RuleEmpty, content, "a turn has no role or no content")
			continue
		}
		var lost *Finding
		switch role {
		case "user":
			text, ok := content.(string)
			if !ok {
				r.lostTurn(RuleUser, content, "a user turn's content is "+kind(content)+", want a text")
				continue
			}
			lost = r.text(text, turn, false)
		case "assistant":
			parts, ok := content.([]any)
			if !ok {
				r.lostTurn(RuleAssistant, content, "an assistant turn's content is "+kind(content)+", want a list")
				continue
			}
			lost = r.assistant(parts)
		default:
			r.lostTurn(RuleRole, content, fmt.Sprintf("a turn's role is %.40v, want user or assistant", role))
		}
		if lost != nil {
			return lost
		}
	}
	return nil
}

// lostTurn notes the parts of a turn that is passed over.
func (r *rowParser) lostTurn(rule string, content any, detail string) {
	parts, _ := content.([]any)
	for _, p := range parts {
		if part, ok := p.(map[string]any); ok {
			r.part(Finding{Rule: rule, Detail: detail, Text: part["type"] == "text", Image: part["type"] == "image"})
		}
	}
	if len(parts) == 0 {
		r.part(Finding{Rule: rule, Detail: detail, Text: true})
	}
}

func (r *rowParser) assistant(parts []any) *Finding {
	for _, p := range parts {
		part, ok := p.(map[string]any)
		if !ok {
			return raised("a part is %s, want an object", kind(p))
		}
		what, content := part["type"], part["content"]
		if !truthy(what) || !truthy(content) {
			r.part(Finding{Rule: RuleEmpty, Detail: "a part has no type or no content", Text: what == "text", Image: what == "image"})
			continue
		}
		switch what {
		case "text":
			text, ok := content.(string)
			if !ok {
				return raised("a text is %s", kind(content))
			}
			if lost := r.text(text, part, true); lost != nil {
				return lost
			}
		case "image":
			if f := r.image(content, part); f != nil {
				f.Image = true
				r.part(*f)
			}
		default:
			r.part(Finding{Rule: RuleType, Detail: fmt.Sprintf("a part's type is %.40v, want text or image", what)})
		}
	}
	return nil
}

// text reads a text; loss is what a missing need_loss means.
func (r *rowParser) text(text string, fields map[string]any, loss bool) *Finding {
	if !utf8.ValidString(text) {
		return &Finding{Rule: RuleSurrogate, Detail: "a text holds half a surrogate pair, which has no UTF-8"}
	}
	if v, ok := fields["need_loss"]; ok {
		n, ok := integer(v)
		if !ok {
			return raised("need_loss is %s, want true or false", kind(v))
		}
		loss = n == 1
	}
	r.holds.textLoss = r.holds.textLoss || loss
	if token := ControlToken(text); token != "" {
		r.part(Finding{Rule: RuleControl, Detail: "a text holds " + token + ", which becomes the control token", Text: true, Read: true})
	}
	if r.Tokenizer != nil {
		r.Tokens += r.Tokenizer.Count(text)
	}
	r.Texts++
	r.plan++
	return nil
}

// image returns what is lost of the image, or what is to be said of it though
// it is read.
func (r *rowParser) image(content any, fields map[string]any) *Finding {
	text, ok := content.(string)
	if !ok {
		return &Finding{Rule: RuleBase64, Detail: "an image's content is " + kind(content)}
	}
	if strings.HasPrefix(text, "data:") { // its letters are taken for base64, and shift the rest
		return &Finding{Rule: RuleBase64, Detail: "an image's content begins with data:, want bare base64"}
	}
	encoded, err := decodeBase64(text)
	if err != nil {
		return &Finding{Rule: RuleBase64, Detail: fmt.Sprintf("an image's content begins with %.30q: %v", text, err)}
	}
	info, err := images.Inspect(encoded, "")
	if err != nil {
		return &Finding{Rule: RuleUnopened, Detail: err.Error()}
	}
	loss, vae, vit := truthy(fields["need_loss"]), truthy(fields["need_vae"]), truthy(fields["need_vit"])
	if !loss && !vae && !vit {
		return &Finding{Rule: RuleNoFlag, Detail: "need_loss, need_vae and need_vit are all false or missing"}
	}
	var damage error
	if r.Decode {
		_, damage = images.Decode(encoded)
	}
	if damage != nil && info.LostIfDamaged() && !errors.Is(damage, images.ErrUnsupported) {
		return &Finding{Rule: RuleUnopened, Detail: damage.Error()}
	}
	entries, tokens := modes.ImageTokens(r.VAE, r.ViT, info.Width, info.Height, loss, vae, vit)
	r.plan += entries
	r.Tokens += tokens
	r.Images++
	r.holds.vae = r.holds.vae || loss || vae
	r.holds.vit = r.holds.vit || vit
	r.holds.imageLoss = r.holds.imageLoss || loss
	return seen(info, damage)
}

// seen says what is to be known of an image that is read.
func seen(info images.Info, damage error) *Finding {
	if damage != nil {
		return &Finding{Rule: RuleDamaged, Detail: damage.Error(), Read: true}
	}
	for _, t := range info.Traits() {
		if t.Effect == images.Wrong {
			return &Finding{Rule: RuleSeen, Detail: t.Name + ": " + t.Makes, Read: true}
		}
	}
	return nil
}

// controlToken has the form of the control tokens of Qwen2's tokenizer, such as
// <|im_end|> and <|image_pad|>.
var controlToken = regexp.MustCompile(`<\|[a-z0-9_]+\|>`)

// ControlToken returns the first control token that the text spells out, which
// the tokenizer would take for one, or "".
func ControlToken(text string) string { return controlToken.FindString(text) }

// truthy is Python's bool of a JSON value.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// integer is Python's int of a JSON value, if it takes it.
func integer(v any) (n int64, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			n = 1
		}
		return n, true
	case float64:
		return int64(v), !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// kind names the JSON type of a value.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	}
	return "an object"
}

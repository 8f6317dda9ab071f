package loader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata/modes"
)

// holds says what a row has of that which every pack of the trainer needs.
type holds struct{ vae, vit, textLoss, imageLoss bool }

// needs are what every pack needs at least one of. The training step of a pack
// without it raises (SFT/modeling/bagel/bagel.py, forward, and
// SFT/train/pretrain_unified_navit.py), for nothing asks whether it is there.
var needs = [...]struct {
	rule, what, raises string
	of                 func(holds) bool
}{
	{RuleNoVAE, "an image for the VAE (need_loss or need_vae)", "KeyError: padded_images", func(h holds) bool { return h.vae }},
	{RuleNoViT, "an image for the ViT (need_vit)", "TypeError: cumsum() of None", func(h holds) bool { return h.vit }},
	{RuleNoTextLoss, "a text to learn (need_loss)", "AssertionError: not visual_und", func(h holds) bool { return h.textLoss }},
	{RuleNoImageLoss, "an image to learn (need_loss)", "IndexError: mse_loss_indexes is empty", func(h holds) bool { return h.imageLoss }},
}

// brought counts, for each of the needs, the rows that have it.
type brought [len(needs)]int64

func (b *brought) add(h holds) {
	for i, n := range needs {
		if n.of(h) {
			b[i]++
		}
	}
}

// Lack is something that packs of an export lack, so that training on it alone
// fails.
type Lack struct {
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

// Lacks says what the packs of the modes would lack, if nothing else is trained
// on.
func Lacks(exported []modes.Mode) []Lack {
	var all []supply
	for _, m := range exported {
		s := supply{mode: m.Name, mandatory: m.Mandatory, rows: 1}
		s.brings.add(shown(m))
		all = append(all, s)
	}
	return lacks(all)
}

// shown is what each row of a mode has.
func shown(m modes.Mode) (h holds) {
	for _, p := range m.Layout {
		image := p.IsImage()
		h.vae = h.vae || image && (p.Loss || p.VAE)
		h.vit = h.vit || image && p.ViT
		h.imageLoss = h.imageLoss || image && p.Loss
		h.textLoss = h.textLoss || !image && p.Loss
	}
	return h
}

// supply is what packs draw from: the rows of a mode.
type supply struct {
	mode      string
	mandatory bool // each pack begins with one of its rows
	rows      int64
	brings    brought
}

func lacks(from []supply) (found []Lack) {
	from = slices.DeleteFunc(slices.Clone(from), func(s supply) bool { return s.rows == 0 })
	if len(from) == 0 {
		return nil // no pack is made
	}
	for i, n := range needs {
		lacks := func(s supply) bool { return s.brings[i] < s.rows }
		sure := slices.ContainsFunc(from, func(s supply) bool { return s.mandatory && !lacks(s) })
		if sure || !slices.ContainsFunc(from, lacks) {
			continue
		}
		var some []string
		for _, s := range from {
			if s.brings[i] > 0 {
				some = append(some, s.mode)
			}
		}
		why := fmt.Sprintf("and no mode has one: the first step raises %s", n.raises)
		if len(some) > 0 {
			why = fmt.Sprintf("and those of %s do not come into every pack: the step of a pack without one raises %s", strings.Join(some, " and "), n.raises)
		}
		var bring []string
		for _, m := range modes.All() {
			if m.Mandatory && n.of(shown(m)) {
				bring = append(bring, m.Name)
			}
		}
		found = append(found, Lack{n.rule, fmt.Sprintf("every pack needs %s, %s; %s brings it", n.what, why, strings.Join(bring, " or "))})
	}
	return found
}

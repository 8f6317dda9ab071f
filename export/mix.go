package export

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/config"
	"github.com/irgdata/irgdata/modes"
)

// Share says how often the examples of a mode and a source are taken for
// training. Either Weight or Count is set.
type Share struct {
	// Mode and Source name the examples; without one of them, those of all.
	Mode   string `json:"mode,omitempty" yaml:"mode,omitempty"`
	Source string `json:"source,omitempty" yaml:"source,omitempty"`
	// Weight is how often each is taken: at 0.5 half of them are, at 2 each is
	// taken twice, at 1.5 each is once and half of them are again.
	Weight *float64 `json:"weight,omitempty" yaml:"weight,omitempty"`
	// Count is how many are taken in all, as evenly as can be.
	Count *int64 `json:"count,omitempty" yaml:"count,omitempty"`
}

// maxRepeats is how often an example can be taken.
const maxRepeats = 1000

// Validate reports the first mistake.
func (s Share) Validate() error {
	switch {
	case (s.Weight == nil) == (s.Count == nil):
		return errors.New("want either a weight or a count")
	case s.Mode != "" && !slices.Contains(modes.Names(), s.Mode):
		return fmt.Errorf("mode %q is unknown: want one of %v", s.Mode, modes.Names())
	case s.Weight != nil && !(*s.Weight >= 0 && *s.Weight <= maxRepeats):
		return fmt.Errorf("weight is %v: want 0 to %d", *s.Weight, maxRepeats)
	case s.Count != nil && *s.Count < 0:
		return fmt.Errorf("count is %d: want 0 or more", *s.Count)
	}
	return nil
}

// none reports whether the share takes nothing.
func (s Share) none() bool {
	return s.Weight != nil && *s.Weight == 0 || s.Count != nil && *s.Count == 0
}

// excludes reports whether the mix takes nothing of a mode at all.
func (s Selection) excludes(mode string) bool {
	for _, share := range s.Mix {
		if share.Mode == mode || share.Mode == "" {
			return share.none() && share.Source == ""
		}
	}
	return false
}

// ShareCount is what came of a share.
type ShareCount struct {
	Share
	// Available is how many training examples there were to take from, and Taken
	// how many were, those that are repeated counted again.
	Available int64 `json:"available"`
	Taken     int64 `json:"taken"`
	// Validation is how many examples fit that are held back.
	Validation int64 `json:"validation,omitempty"`
}

// hasSources refuses shares of a source that is neither among those of the
// snapshot's settings nor seen in its rows.
func (p *plan) hasSources(seen []string) error {
	known := slices.Clone(seen)
	for _, s := range p.snapshot.Settings.Sources {
		known = append(known, s.Name)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for n, share := range p.selection.Mix {
		if share.Source != "" && !slices.Contains(known, share.Source) {
			return &SelectionError{fmt.Sprintf("mix[%d]", n), fmt.Errorf("there is no source %q in snapshot %d: %s", share.Source, p.snapshot.Number, config.Suggest(share.Source, known))}
		}
	}
	return nil
}

// mix sets the copies of the rows by the shares. Those held back for validation
// are taken once, or never where the share takes nothing.
func (p *plan) mix(sources []string) error {
	if err := p.hasSources(sources); err != nil {
		return err
	}
	decided := make([]bool, len(p.copies))
	for n, share := range p.selection.Mix {
		wrong := func(format string, args ...any) error {
			return &SelectionError{fmt.Sprintf("mix[%d]", n), fmt.Errorf(format, args...)}
		}
		var fitting []int // into copies
		count := ShareCount{Share: share}
		for i, copies := range p.copies {
			row, mode := i/len(p.modes), p.modes[i%len(p.modes)].Name
			if copies == 0 || decided[i] || share.Mode != "" && share.Mode != mode || share.Source != "" && share.Source != sources[p.rows[row].source] {
				continue
			}
			decided[i] = true
			if p.rows[row].held {
				count.Validation++
				if share.none() {
					p.copies[i] = 0
				}
				continue
			}
			fitting = append(fitting, i)
		}
		count.Available = int64(len(fitting))
		switch {
		case share.Count != nil:
			count.Taken = *share.Count
		default:
			count.Taken = int64(math.Round(*share.Weight * float64(len(fitting))))
		}
		switch available := count.Available; {
		case available == 0 && (count.Validation > 0 || p.selection.Split == Validation):
			count.Taken = 0 // there is none to train on
		case available == 0 && count.Taken > 0:
			return wrong("count is %d and no example fits: look at the mode and the source", count.Taken)
		case available > 0 && count.Taken > maxRepeats*available:
			return wrong("count is %d and %d examples fit: want at most %d times as many", count.Taken, available, maxRepeats)
		}
		p.take(fitting, count.Taken)
		p.shares = append(p.shares, count)
	}
	return nil
}

// take spreads a number of copies over examples: each gets as many as the
// others, and the rest goes to those whose number, drawn by the seed, is
// lowest.
func (p *plan) take(examples []int, taken int64) {
	if len(examples) == 0 {
		return
	}
	each, rest := taken/int64(len(examples)), taken%int64(len(examples))
	for _, i := range examples {
		p.copies[i] = uint16(each)
	}
	if rest == 0 {
		return
	}
	type drawn struct {
		number  uint64
		example int
	}
	lots := make([]drawn, len(examples))
	for n, i := range examples {
		lots[n] = drawn{p.draw("mix/1", p.rows[i/len(p.modes)].id, p.modes[i%len(p.modes)].Name, 0), i}
	}
	slices.SortFunc(lots, func(a, b drawn) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.example, b.example))
	})
	for _, lot := range lots[:rest] {
		p.copies[lot.example]++
	}
}

// draw is a number that looks random and is a function of its arguments and
// the seed.
func (p *plan) draw(domain string, id irgdata.Digest, mode string, turn int) uint64 {
	sum := irgdata.NewDigester(domain).Uint(p.selection.Seed).Digest(id).Text(mode).Uint(uint64(turn)).Sum()
	return binary.BigEndian.Uint64(sum[:8])
}

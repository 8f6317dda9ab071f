package filter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/annotate"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
)

// perDefect is the number of pictures with each defect.
const perDefect = 4

// scene is a caption with the plan and the picture that answer it.
type scene struct {
	caption, plan string
	good          []byte
	praise        string // the reflection on it
}

// spoilt is a picture that falls short of its scene, and in what.
type spoilt struct {
	scene
	bad    []byte
	flaws  []scenes.Flaw // as they were planted
	defect string        // the row of the table
	// reflection says what is wrong with it.
	reflection string
}

// told is a trajectory as the planted models give it.
type told struct {
	scene
	draft, improved      []byte
	thinking, reflection string // thinking: both plans
}

// oracle plants defects, and has the judge asked about them.
type oracle struct {
	t      *testing.T
	model  runtime.Model
	images *images.Store
	ledger *manifests.Ledger
}

func newOracle(t *testing.T) *oracle {
	objects, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := manifests.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	return &oracle{t: t, model: scenes.New(), images: images.NewStore(objects), ledger: ledger}
}

func (o *oracle) generate(r runtime.Request) runtime.Answer {
	o.t.Helper()
	a, err := o.model.Generate(o.t.Context(), r)
	if err != nil {
		o.t.Fatal(err)
	}
	return a
}

// wanting is a request of texts and encoded images.
func wanting(want runtime.Output, seed uint64, parts ...any) runtime.Request {
	r := runtime.Request{Want: want, Sampling: runtime.Sampling{Seed: seed}}
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			r.Context = append(r.Context, runtime.TextPart(p))
		case []byte:
			r.Context = append(r.Context, runtime.ImagePart(irgdata.ImageRef{}, p))
		}
	}
	return r
}

// scene is the ith sample.
func (o *oracle) scene(i int) scene {
	caption, img := scenes.Sample(21, i)
	return scene{caption: caption, plan: o.generate(wanting(runtime.Text, 1, "system", caption)).Text, good: encoded(img)}
}

func encoded(img image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // a buffer takes every write
	}
	return b.Bytes()
}

// reflect is the true reflection that leads from a picture to the scene's good
// one; false where the model cannot make out the picture.
func (o *oracle) reflect(s scene, from []byte) (string, bool) {
	o.t.Helper()
	a, err := o.model.Generate(o.t.Context(), wanting(runtime.Text, 1, "<prompt>"+s.caption+"</prompt>", from, s.good))
	var refused *runtime.Error
	if err != nil && !errors.As(err, &refused) {
		o.t.Fatal(err)
	}
	return a.Text, err == nil
}

// planted are drafts with the flaws that the model plants, some of each kind and
// size.
func (o *oracle) planted(all []scene) (list []spoilt) {
	count := map[string]int{}
	for _, s := range all {
		for i := range 10 {
			r := wanting(runtime.Paint, uint64(i), "system", s.caption, s.plan)
			flaws, err := scenes.Flaws(r)
			if err != nil {
				o.t.Fatal(err)
			}
			name := fmt.Sprintf("%d defects", len(flaws))
			if len(flaws) == 1 {
				name = sized(flaws[0])
			}
			if count[name] == perDefect || slices.ContainsFunc(list, func(x spoilt) bool { return x.defect == name && x.caption == s.caption }) {
				continue
			}
			bad := o.generate(r).Image
			praise, seen := o.reflect(s, s.good)
			reflection, seenBad := o.reflect(s, bad)
			if s.praise = praise; seen && seenBad { // else a build has no such trajectory
				count[name]++
				list = append(list, spoilt{s, bad, flaws, name, reflection})
			}
		}
	}
	return list
}

// sized names the kind of a flaw and how large it is.
func sized(f scenes.Flaw) string {
	of := f.Want
	switch f.Kind {
	case scenes.FlawExtra:
		of = f.Got
	case scenes.FlawPosition:
		if max(abs(f.Want.At.Col-f.Got.At.Col), abs(f.Want.At.Row-f.Got.At.Row)) == 1 {
			return "an object one cell off"
		}
		return "an object farther off"
	case scenes.FlawSoft:
		return "soft edges"
	case scenes.FlawFlat:
		return "flat light"
	}
	size := of.Size.String()
	if of.Size >= scenes.Large {
		size = "large"
	}
	what := map[scenes.FlawKind]string{
		scenes.FlawMissing: "is missing", scenes.FlawExtra: "too many", scenes.FlawColour: "in another colour", scenes.FlawTexture: "without its pattern",
	}[f.Kind]
	return fmt.Sprintf("a %s object %s", size, what)
}

func abs(x int) int { return max(x, -x) }

// altered are pictures with what the model plants in no draft.
func (o *oracle) altered(all []scene) (list []spoilt) {
	for i, s := range all[:perDefect] {
		img, err := jpeg.Decode(bytes.NewReader(s.good))
		if err != nil {
			o.t.Fatal(err)
		}
		right, err := scenes.See(img)
		if err != nil {
			o.t.Fatal(err)
		}
		s.praise, _ = o.reflect(s, s.good)
		add := func(name string, change func(p *scenes.Picture) bool) {
			p := right
			p.Objects = slices.Clone(right.Objects)
			if change(&p) {
				bad := encoded(scenes.Draw(p, 256, 256))
				reflection, _ := o.reflect(s, bad)
				list = append(list, spoilt{s, bad, nil, name, reflection})
			}
		}
		add("an object of another shape", func(p *scenes.Picture) bool {
			for shape := scenes.Circle; ; shape++ {
				if !slices.ContainsFunc(p.Objects, func(x scenes.Object) bool { return x.Shape == shape }) {
					p.Objects[0].Shape = shape
					return true
				}
			}
		})
		add("an object one size smaller", func(p *scenes.Picture) bool {
			p.Objects[0].Size--
			return p.Objects[0].Size > 0
		})
		add("another background", func(p *scenes.Picture) bool {
			was := p.Backdrop
			p.Backdrop = scenes.Backdrop{Top: scenes.GrayTint, Bottom: scenes.GrayTint}
			return p.Backdrop != was
		})
		add("light of another tone", func(p *scenes.Picture) bool {
			p.Light.Tone = map[scenes.Tone]scenes.Tone{scenes.Soft: scenes.Warm, scenes.Warm: scenes.Cool, scenes.Cool: scenes.Warm}[p.Light.Tone]
			return true
		})
		add("light from elsewhere", func(p *scenes.Picture) bool {
			p.Light.From = map[scenes.Direction]scenes.Direction{scenes.FromLeft: scenes.FromRight, scenes.FromRight: scenes.FromLeft, scenes.FromAbove: scenes.FromLeft}[p.Light.From]
			return true
		})
		for _, half := range []int{1, 2, 4} {
			list = append(list, spoilt{s, encoded(blurred(img, half)), nil, fmt.Sprintf("Gaussian blur of %.1f pixels", blurDeviation(half)), s.praise})
		}
		list = append(list, spoilt{s, all[i+1].good, nil, "another scene", s.praise})
	}
	return list
}

// scripted plays all roles of a trajectory but the judge's.
type scripted struct{ told }

func (s scripted) Identity() runtime.Identity {
	d := irgdata.NewDigester("told").Text(s.thinking).Text(s.reflection).Digest(irgdata.DigestOf(s.draft))
	return runtime.Identity{Name: "scripted", Revision: d.Sum().String()}
}

func (s scripted) Generate(_ context.Context, r runtime.Request) (runtime.Answer, error) {
	pictures := 0
	for _, p := range r.Context {
		if p.Image != nil {
			pictures++
		}
	}
	switch {
	case r.Want == runtime.Paint:
		return runtime.Answer{Image: s.draft, Finish: "stop"}, nil
	case pictures == 2:
		return runtime.Answer{Text: s.reflection, Finish: "stop"}, nil
	}
	return runtime.Answer{Text: s.thinking, Finish: "stop"}, nil
}

// opinion is what a rule makes of a trajectory.
type opinion int

const (
	unsure opinion = iota // it measured nothing
	passes
	rejects
)

// judge asks the judge about trajectories, as a build does, and returns what
// each of its rules makes of them, with their defaults but for what is set.
func (o *oracle) judge(judge runtime.Model, list []told, set ...string) (opinions []map[string]opinion) {
	o.t.Helper()
	config, _, err := Config{Defaults: true}.Complete()
	for _, assignment := range set {
		if err == nil {
			config, err = config.Set(assignment)
		}
	}
	if err != nil {
		o.t.Fatal(err)
	}
	config.Rules = slices.DeleteFunc(config.Rules, func(e Entry) bool { kind, _ := kindOf(Kinds(), e.Rule); return kind.Topic == "" })
	rules, _, err := config.New(Environment{Topics: modes.Topics()})
	if err != nil {
		o.t.Fatal(err)
	}
	in := func(yield func(told, error) bool) {
		for _, x := range list {
			if !yield(x, nil) {
				return
			}
		}
	}
	for t, err := range flow.Map(o.t.Context(), in, flow.Options{Workers: 4}, func(ctx context.Context, x told) (irgdata.Trajectory, error) { return o.annotate(ctx, judge, x) }) {
		if err != nil {
			o.t.Fatal(err)
		}
		of := map[string]opinion{}
		for _, r := range rules {
			for _, slot := range r.Slots {
				value, err := r.Measure(o.t.Context(), &Subject{Trajectory: t}, slot)
				if err != nil {
					o.t.Fatal(err)
				}
				switch {
				case math.IsNaN(value):
				case r.Reject(slot, value) != "", r.Name == "draft_alignment" && value < .5: // which rejects nothing
					of[r.Name] = rejects
				default:
					of[r.Name] = max(of[r.Name], passes)
				}
			}
		}
		opinions = append(opinions, of)
	}
	return opinions
}

// annotate fills and judges one trajectory.
func (o *oracle) annotate(ctx context.Context, judge runtime.Model, x told) (irgdata.Trajectory, error) {
	ref, err := o.images.Put(ctx, x.improved)
	if err != nil {
		return irgdata.Trajectory{}, err
	}
	pair := irgdata.Pair{ID: irgdata.PairID(x.caption, ref.Digest), Prompt: x.caption, Image: ref}
	script := scripted{x}
	a, err := annotate.New(annotate.Options{
		Strategy: irgdata.Distill, Modes: modes.All(), Prompts: modes.DefaultPrompts(), Width: 256, Height: 256,
		Topics: modes.Topics(), Workers: 1, Attempts: 1, Pause: time.Second,
		Models: map[modes.Role]runtime.Model{modes.RoleBase: script, modes.RoleAnnotator: script, modes.RolePainter: script, modes.RoleJudge: judge},
	}, o.images, o.ledger)
	if err != nil {
		return irgdata.Trajectory{}, err
	}
	pairs := iter.Seq2[irgdata.Item[irgdata.Pair], error](func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		yield(irgdata.Item[irgdata.Pair]{Value: pair}, nil)
	})
	for item, err := range a.Run(ctx, pairs) {
		return item.Value, err
	}
	return irgdata.Trajectory{}, ctx.Err()
}

// verdicts counts what a rule made of some trajectories.
type verdicts [rejects + 1]int

func tally(opinions []map[string]opinion, rule string) (v verdicts) {
	for _, of := range opinions {
		v[of[rule]]++
	}
	return v
}

func (v verdicts) String() string {
	if v[unsure] > 0 {
		return fmt.Sprintf("%d, %d unsure", v[rejects], v[unsure])
	}
	return fmt.Sprint(v[rejects])
}

// mended is a trajectory that mends the defect, spoiling one that makes it, and
// unmended one that says that it mends it and does not.
func (x spoilt) mended() told   { return told{x.scene, x.bad, x.good, x.plan, x.reflection} }
func (x spoilt) spoiling() told { return told{x.scene, x.good, x.bad, x.plan, x.praise} }
func (x spoilt) unmended() told { return told{x.scene, x.bad, x.bad, x.plan, x.reflection} }

// TestJudgeConfusion holds the tables of docs/filters-judge.md against what the
// judge in the box says of planted defects, and what the rules make of it.
func TestJudgeConfusion(t *testing.T) {
	if testing.Short() {
		t.Skip("the judge looks at some hundred pictures")
	}
	o := newOracle(t)
	var all []scene
	for i := range 60 {
		all = append(all, o.scene(i))
	}
	planted := o.planted(all)
	var tables strings.Builder
	o.defects(&tables, append(planted, o.altered(all)...))
	tables.WriteByte('\n')
	o.claims(&tables, planted)
	tables.WriteByte('\n')
	o.judges(&tables, planted)
	quoted(t, "../docs/filters-judge.md", "TestJudgeConfusion", tables.String())
}

// defects writes what each rule finds of each defect, and rejects without one.
func (o *oracle) defects(w *strings.Builder, bad []spoilt) {
	var mended, spoiling, unmended []told
	for _, x := range bad {
		mended, spoiling, unmended = append(mended, x.mended()), append(spoiling, x.spoiling()), append(unmended, x.unmended())
	}
	of := map[string][3][]map[string]opinion{}
	for i, list := range [3][]told{mended, spoiling, unmended} {
		for j, opinions := range o.judge(o.model, list) {
			all := of[bad[j].defect]
			all[i] = append(all[i], opinions)
			of[bad[j].defect] = all
		}
	}
	fmt.Fprint(w, "| defect | of | `draft_alignment` | `alignment` | `preference` | `preservation` | `faithfulness` | sound, rejected |\n|---|---|---|---|---|---|---|---|\n")
	for _, defect := range slices.SortedFunc(maps.Keys(of), byDefect) {
		mended, spoiling, unmended := of[defect][0], of[defect][1], of[defect][2]
		var wrongly []string
		for _, rule := range []string{"alignment", "preference", "preservation", "faithfulness", "invention"} {
			if n := tally(mended, rule)[rejects]; n > 0 {
				wrongly = append(wrongly, fmt.Sprintf("%d `%s`", n, rule))
			}
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %s |\n", defect, len(mended), tally(mended, "draft_alignment"),
			tally(spoiling, "alignment"), tally(spoiling, "preference"), tally(spoiling, "preservation"), tally(unmended, "faithfulness"),
			cmp.Or(strings.Join(wrongly, ", "), "0"))
	}
}

// byDefect orders the rows of the table.
func byDefect(a, b string) int {
	place := func(defect string) int {
		return slices.IndexFunc([]string{"missing", "too many", "another colour", "pattern", "shape", "size smaller", "one cell", "farther",
			"soft", "blur", "flat", "defects", "background", "tone", "elsewhere", "scene"}, func(part string) bool { return strings.Contains(defect, part) })
	}
	size := func(defect string) int {
		return slices.IndexFunc([]string{"small", "medium", "large"}, func(s string) bool { return strings.HasPrefix(defect, "a "+s) })
	}
	return cmp.Or(place(a)-place(b), size(a)-size(b), strings.Compare(a, b))
}

// opening is the paragraph of a reflection that says what is wrong.
var opening = regexp.MustCompile(`(?s)^<think>\n.*?\n\n`)

// claims writes what becomes of reflections and plans that are not true.
func (o *oracle) claims(w *strings.Builder, planted []spoilt) {
	single := slices.DeleteFunc(slices.Clone(planted), func(x spoilt) bool { return len(x.flaws) != 1 })
	// another is a draft of the same scene with another number of flaws, or with
	// another kind of flaw.
	another := func(x spoilt, flaws int) (spoilt, bool) {
		i := slices.IndexFunc(planted, func(y spoilt) bool {
			return y.caption == x.caption && len(y.flaws) == flaws && (flaws > 1 || y.flaws[0].Kind != x.flaws[0].Kind)
		})
		return planted[max(i, 0)], i >= 0
	}
	alien := func(x spoilt) string {
		for _, shape := range []string{"circle", "square", "triangle", "diamond", "hexagon", "star", "cross", "heart"} {
			if !strings.Contains(x.plan, shape) && !slices.ContainsFunc(x.flaws, func(f scenes.Flaw) bool { return f.Got.Shape.String() == shape }) {
				return shape
			}
		}
		panic("a scene with all shapes")
	}
	in := func(text, sentence string) string {
		return strings.Replace(text, "<think>\n", "<think>\n"+sentence+" ", 1)
	}
	fmt.Fprint(w, "| rule | what is told | of | rejected | unsure |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		rule, name string
		edit       func(x spoilt, t *told) bool
	}{
		{"faithfulness", "what is wrong in the draft, and is mended", func(spoilt, *told) bool { return true }},
		{"faithfulness", "a defect that another draft has", func(x spoilt, t *told) bool {
			y, ok := another(x, 1)
			t.draft = y.bad
			return ok
		}},
		{"faithfulness", "the draft's defect, and one that another draft has", func(x spoilt, t *told) bool {
			y, ok := another(x, 1)
			first, second := opening.FindString(t.reflection), opening.FindString(y.reflection)
			t.reflection = strings.TrimSpace(first) + " " + strings.TrimPrefix(second, "<think>\n") + strings.TrimPrefix(t.reflection, first)
			return ok
		}},
		{"faithfulness", "what is wrong in a draft of another scene", func(x spoilt, t *told) bool {
			i := slices.IndexFunc(single, func(y spoilt) bool { return y.caption != x.caption && y.flaws[0].Kind != x.flaws[0].Kind })
			t.reflection = single[i].reflection
			return true
		}},
		{"faithfulness", "two defects, of which one is mended", func(x spoilt, t *told) bool {
			img, err := images.Decode(x.bad)
			if err != nil {
				o.t.Fatal(err)
			}
			p, err := scenes.See(img)
			if err != nil || p.Soft {
				return false
			}
			p.Soft = true
			t.draft, t.improved = encoded(scenes.Draw(p, 256, 256)), x.bad
			var ok bool
			t.reflection, ok = o.reflect(x.scene, t.draft)
			return ok
		}},
		{"faithfulness", "that nothing is wrong, where something is", func(x spoilt, t *told) bool {
			t.reflection = x.praise
			return true
		}},
		{"faithfulness", "a defect that is not there, in words that the judge does not know", func(x spoilt, t *told) bool {
			t.reflection = opening.ReplaceAllString(t.reflection, "<think>\nSadly the whole arrangement leans over to one side.\n\n")
			return true
		}},
		{"invention", "nothing but what is there", func(spoilt, *told) bool { return true }},
		{"invention", "in the plan a shape that is nowhere", func(x spoilt, t *told) bool {
			t.thinking = in(t.thinking, "Behind it all stands a "+alien(x)+".")
			return true
		}},
		{"invention", "in the reflection a shape that is nowhere", func(x spoilt, t *told) bool {
			t.reflection = in(t.reflection, "The "+alien(x)+" is too dark.")
			return true
		}},
		{"invention", "in the plan a thing that is no shape", func(_ spoilt, t *told) bool {
			t.thinking = in(t.thinking, "Behind it all sleeps a dragon.")
			return true
		}},
		{"preference", "an object moves to where it was planned", func(x spoilt, _ *told) bool { return x.flaws[0].Kind == scenes.FlawPosition }},
		{"preference", "three defects become one", func(x spoilt, t *told) bool {
			y, ok := another(x, 3)
			t.draft, t.improved = y.bad, x.bad
			return ok
		}},
		{"preference", "one defect becomes three", func(x spoilt, t *told) bool {
			y, ok := another(x, 3)
			t.draft, t.improved = x.bad, y.bad
			return ok
		}},
		{"preference", "a defect stays", func(x spoilt, t *told) bool { t.improved = x.bad; return true }},
	} {
		var list []told
		for _, x := range single {
			if t := x.mended(); len(list) < 3*perDefect && row.edit(x, &t) {
				list = append(list, t)
			}
		}
		v := tally(o.judge(o.model, list), row.rule)
		fmt.Fprintf(w, "| `%s` | %s | %d | %d | %d |\n", row.rule, row.name, len(list), v[rejects], v[unsure])
		// What another threshold would do, where it does anything.
		other := map[string]string{"faithfulness": "0.6", "preference": "0.49"}[row.rule]
		if other == "" {
			continue
		}
		if at := tally(o.judge(o.model, list, row.rule+".min="+other), row.rule); at != v {
			fmt.Fprintf(w, "| `%s`, `min: %s` | %s | %d | %d | %d |\n", row.rule, other, row.name, len(list), at[rejects], at[unsure])
		}
	}
}

// other is a judge that says what the one in the box says in another way.
type other struct {
	runtime.Model
	name   string
	retell func(r runtime.Request, a runtime.Answer) runtime.Answer
}

func (m other) Identity() runtime.Identity { return runtime.Identity{Name: m.name, Revision: "1"} }

func (m other) Generate(ctx context.Context, r runtime.Request) (runtime.Answer, error) {
	a, err := m.Model.Generate(ctx, r)
	if err == nil && !strings.HasPrefix(a.Text, "[") {
		a = m.retell(r, a)
	}
	return a, err
}

// judges writes what the rules make of other judges' answers.
func (o *oracle) judges(w *strings.Builder, planted []spoilt) {
	var mended, spoiling []told
	for _, x := range planted[:4*perDefect] {
		mended, spoiling = append(mended, x.mended()), append(spoiling, x.spoiling())
	}
	say := func(text string) runtime.Answer { return runtime.Answer{Text: text, Finish: "stop"} }
	fmt.Fprint(w, "| judge | rejected of the sound | unsure | rejected of the spoilt | unsure |\n|---|---|---|---|---|\n")
	var inTheBox string
	for i, judge := range []struct {
		name   string
		retell func(r runtime.Request, a runtime.Answer) runtime.Answer
	}{
		{"with log-probabilities", func(_ runtime.Request, a runtime.Answer) runtime.Answer { return a }},
		{"without, in JSON", func(_ runtime.Request, a runtime.Answer) runtime.Answer {
			return say(fmt.Sprintf(`{"answer": %q}`, a.Text))
		}},
		{"70% sure", func(_ runtime.Request, a runtime.Answer) runtime.Answer {
			for i, c := range a.First {
				a.First[i].Logprob = math.Log(.15) // of two others
				if c.Token == a.Text {
					a.First[i].Logprob = math.Log(.7)
				}
			}
			return a
		}},
		{"cannot tell every third time", func(r runtime.Request, a runtime.Answer) runtime.Answer {
			d := irgdata.NewDigester("third")
			for _, p := range r.Context {
				if d.Text(p.Text); p.Image != nil {
					d.Digest(irgdata.DigestOf(p.Image.Bytes))
				}
			}
			if d.Sum()[0]%3 == 0 {
				return say("unsure")
			}
			return a
		}},
		{"can never tell", func(runtime.Request, runtime.Answer) runtime.Answer { return say("I cannot tell from these images.") }},
		{"prefers the image shown first", func(r runtime.Request, a runtime.Answer) runtime.Answer {
			if strings.Contains(r.Context[0].Text, "Which image") {
				return say("1")
			}
			return a
		}},
	} {
		var v [2]verdicts
		for i, list := range [2][]told{mended, spoiling} {
			opinions := o.judge(other{o.model, judge.name, judge.retell}, list)
			for _, rule := range []string{"alignment", "preference", "preservation", "faithfulness", "invention"} {
				for k, n := range tally(opinions, rule) {
					v[i][k] += n
				}
			}
		}
		row := fmt.Sprintf("| %d | %d | %d | %d |", v[0][rejects], v[0][unsure], v[1][rejects], v[1][unsure])
		fmt.Fprintf(w, "| %s %s\n", judge.name, row)
		switch i {
		case 0:
			inTheBox = row
		case 1:
			if row != inTheBox {
				o.t.Errorf("without log-probabilities the judge's answers give %s, and with them %s", row, inTheBox)
			}
		}
		if n := v[0][rejects] + v[1][rejects]; n > 0 && judge.name == "can never tell" {
			o.t.Errorf("a judge that can tell nothing rejects %d times", n)
		}
	}
}

package export

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/modes"
)

// A row of a snapshot's shard is a trajectory, complete with its images.
// docs/format.md describes each column for readers. Texts that are absent are
// empty, images that are absent are null. Under strategy distill the improved
// image is the reference image and is not stored twice.

// textCells and callSlots name the columns of slots, in column order.
var (
	textSlots  = []irgdata.Slot{irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotReflection}
	imageSlots = []irgdata.Slot{irgdata.SlotReference, irgdata.SlotDraft, irgdata.SlotImproved}
	callSlots  = []irgdata.Slot{irgdata.SlotReference, irgdata.SlotThinking, irgdata.SlotDraftThinking, irgdata.SlotDraft, irgdata.SlotReflection, irgdata.SlotImproved}
)

// trajectoryColumns are the columns of a shard: the pair, the slots, the calls
// that filled them, a flag for each mode, and what the filters said.
func trajectoryColumns() []parquet.Column {
	var columns []parquet.Column
	add := func(kind parquet.Kind, names ...string) {
		for _, name := range names {
			columns = append(columns, parquet.Column{Name: name, Kind: kind})
		}
	}
	add(parquet.String, "id", "prompt", "language", "source", "key", "license", "url", "notes", "strategy")
	for _, s := range textSlots {
		add(parquet.String, s.String())
	}
	for _, s := range callSlots {
		add(parquet.String, s.String()+"_call")
	}
	add(parquet.Bool, modes.Names()...)
	add(parquet.String, judgedColumns...)
	for _, s := range imageSlots {
		add(parquet.Picture, s.String())
	}
	return columns
}

// judgedColumns hold lists in JSON: what the filters said, and the calls that
// failed.
var judgedColumns = []string{"scores", "verdicts", "warnings", "failures", "judgements"}

// scoreJSON, verdictJSON, warningJSON and failureJSON are the elements of these.
type scoreJSON struct {
	Rule  string   `json:"rule"`
	Name  string   `json:"name"`
	Value *float64 `json:"value"` // null: the rule abstained
}

type warningJSON struct {
	Rule   string  `json:"rule"`
	Name   string  `json:"name"`
	Reason string  `json:"reason"`
	Score  float64 `json:"score"`
}

type verdictJSON struct {
	Mode   string   `json:"mode"`
	Keep   bool     `json:"keep"`
	Stage  string   `json:"stage,omitempty"`
	Rule   string   `json:"rule,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Score  *float64 `json:"score,omitempty"` // absent: nothing was measured
}

type failureJSON struct {
	Slot   string `json:"slot"`
	Step   string `json:"step"`
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

// judgementJSON is an element of the column judgements.
type judgementJSON struct {
	Question  string         `json:"question"`
	Subject   string         `json:"subject"`
	About     string         `json:"about,omitempty"`
	Value     *float64       `json:"value,omitempty"` // absent: the judge abstained
	Abstained string         `json:"abstained,omitempty"`
	Call      irgdata.Digest `json:"call"`
}

func judgementsJSON(judgements []irgdata.Judgement) []judgementJSON {
	list := make([]judgementJSON, len(judgements))
	for i, j := range judgements {
		list[i] = judgementJSON{Question: j.Question, Subject: j.Subject, About: j.About, Abstained: j.Abstained, Call: j.Call}
		if j.Abstained == "" {
			list[i].Value = &j.Value
		}
	}
	return list
}

// readJudgements reads the column judgements.
func readJudgements(text string) (judgements []irgdata.Judgement, err error) {
	var list []judgementJSON
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("column judgements: %w", err)
	}
	for _, e := range list {
		j := irgdata.Judgement{Question: e.Question, Subject: e.Subject, About: e.About, Abstained: e.Abstained, Call: e.Call}
		if e.Value != nil {
			j.Value = *e.Value
		}
		judgements = append(judgements, j)
	}
	return judgements, nil
}

// trajectoryRow makes the row of a judged trajectory, its images loaded.
func trajectoryRow(ctx context.Context, j irgdata.Judged, store *images.Store) (parquet.Row, error) {
	t := j.Trajectory
	notes, err := json.Marshal(append([]string{}, t.Pair.Notes...))
	if err != nil {
		return nil, fmt.Errorf("pair %s: %w", t.Pair.ID, err)
	}
	row := parquet.Row{t.Pair.ID.String(), t.Pair.Prompt, t.Pair.Language, t.Pair.Source, t.Pair.Key, t.Pair.License, t.Pair.URL, string(notes), string(t.Strategy)}
	for _, s := range textSlots {
		row = append(row, t.Slots[s].Text)
	}
	for _, s := range callSlots {
		call := ""
		if d := t.Slots[s].Call; !d.IsZero() {
			call = d.String()
		}
		row = append(row, call)
	}
	for _, name := range modes.Names() {
		row = append(row, j.Keeps(name))
	}
	judged, err := judgedCells(j)
	if err != nil {
		return nil, err
	}
	row = append(row, judged...)
	for _, s := range imageSlots {
		ref := t.Slots[s].Image
		if ref.IsZero() || (s == irgdata.SlotImproved && t.Strategy == irgdata.Distill) {
			row = append(row, nil)
			continue
		}
		encoded, err := store.Bytes(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("pair %s: %s image: %w", t.Pair.ID, s, err)
		}
		row = append(row, parquet.Image{Bytes: encoded, Path: imageName(ref)})
	}
	return row, nil
}

// judgedCells are those of the judgedColumns.
func judgedCells(j irgdata.Judged) (parquet.Row, error) {
	scores := make([]scoreJSON, len(j.Scores))
	for i, s := range j.Scores {
		scores[i] = scoreJSON{Rule: s.Rule, Name: s.Name}
		if !math.IsNaN(s.Value) {
			scores[i].Value = &s.Value
		}
	}
	verdicts := make([]verdictJSON, len(j.Verdicts))
	for i, v := range j.Verdicts {
		verdicts[i] = verdictJSON{Mode: v.Mode, Keep: v.Keep, Stage: v.Stage, Rule: v.Rule, Reason: v.Reason}
		if !v.Keep && !math.IsNaN(v.Score) {
			verdicts[i].Score = &v.Score
		}
	}
	warnings := make([]warningJSON, len(j.Warnings))
	for i, w := range j.Warnings {
		warnings[i] = warningJSON(w)
	}
	failures := make([]failureJSON, len(j.Trajectory.Failures))
	for i, f := range j.Trajectory.Failures {
		failures[i] = failureJSON{f.Slot.String(), f.Step, f.Rule, f.Reason}
	}
	var row parquet.Row
	for _, list := range []any{scores, verdicts, warnings, failures, judgementsJSON(j.Trajectory.Judgements)} {
		text, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("pair %s: %w", j.Trajectory.Pair.ID, err)
		}
		row = append(row, string(text))
	}
	return row, nil
}

// imageName is the path of an image in a shard: its digest and an extension
// that programs know.
func imageName(ref irgdata.ImageRef) string { return ref.Digest.String() + "." + extension(ref) }

func extension(ref irgdata.ImageRef) string {
	if ref.Format == irgdata.FormatJPEG {
		return "jpg"
	}
	return ref.Format
}

// imageOf is the reference of an image in a shard. Its path has the digest
// ([imageName]), which the shard's own vouches for.
func imageOf(picture parquet.Image) (irgdata.ImageRef, error) {
	name, _, _ := strings.Cut(picture.Path, ".")
	digest, err := irgdata.ParseDigest(name)
	if err != nil {
		return irgdata.ImageRef{}, fmt.Errorf("its path %q: %w", picture.Path, err)
	}
	info, err := images.Inspect(picture.Bytes, "")
	return irgdata.ImageRef{Digest: digest, Size: int64(len(picture.Bytes)), Format: info.Format, Width: info.Width, Height: info.Height}, err
}

// record is a row that was read back.
type record struct {
	trajectory irgdata.Trajectory
	keeps      map[string]bool // by mode
	images     map[irgdata.Digest][]byte
	row        parquet.Row // of the recordColumns
}

// recordColumns are the columns that readRecord takes.
func recordColumns() []string {
	var names []string
	for _, c := range trajectoryColumns() {
		names = append(names, c.Name)
	}
	return names
}

// readRecord makes a trajectory of a row of the recordColumns.
func readRecord(row parquet.Row) (record, error) {
	cells := map[string]any{}
	for i, name := range recordColumns() {
		cells[name] = row[i]
	}
	text := func(name string) string { s, _ := cells[name].(string); return s }

	r := record{keeps: map[string]bool{}, images: map[irgdata.Digest][]byte{}, row: row}
	id, err := irgdata.ParseDigest(text("id"))
	if err != nil {
		return r, fmt.Errorf("column id: %w", err)
	}
	slots := [irgdata.NumSlots]irgdata.Filling{}
	for _, s := range imageSlots {
		picture, ok := cells[s.String()].(parquet.Image)
		if !ok {
			continue
		}
		ref, err := imageOf(picture)
		if err != nil {
			return r, fmt.Errorf("pair %s: %s image: %w", id, s, err)
		}
		slots[s].Image = ref
		r.images[ref.Digest] = picture.Bytes
	}
	for _, s := range callSlots {
		if err := slots[s].Call.UnmarshalText([]byte(text(s.String() + "_call"))); err != nil {
			return r, fmt.Errorf("pair %s: column %s_call: %w", id, s, err)
		}
	}
	pair := irgdata.Pair{
		ID: id, Prompt: text("prompt"), Language: text("language"),
		Source: text("source"), Key: text("key"), License: text("license"), URL: text("url"),
	}
	if slots[irgdata.SlotReference].Call.IsZero() { // else the pair came without an image
		pair.Image = slots[irgdata.SlotReference].Image
	}
	if irgdata.PairID(pair.Prompt, pair.Image.Digest) != id {
		return r, fmt.Errorf("pair %s: the identity is not that of its prompt and image", id)
	}
	if err := json.Unmarshal([]byte(text("notes")), &pair.Notes); err != nil {
		return r, fmt.Errorf("pair %s: column notes: %w", id, err)
	}
	t := irgdata.NewTrajectory(pair, irgdata.Strategy(text("strategy")))
	t.Fill(irgdata.SlotReference, slots[irgdata.SlotReference])
	for _, s := range textSlots {
		slots[s].Text = text(s.String())
	}
	for s, f := range slots {
		if !f.IsZero() {
			t.Slots[s] = f
		}
	}
	if t.Judgements, err = readJudgements(text("judgements")); err != nil {
		return r, fmt.Errorf("pair %s: %w", id, err)
	}
	for _, name := range modes.Names() {
		r.keeps[name], _ = cells[name].(bool)
	}
	r.trajectory = t
	return r, nil
}

// rejectColumns are the columns of a shard of rejects: what was rejected and why,
// and for a trajectory what it held, but for its images, and what the filters
// said.
func rejectColumns() []parquet.Column {
	var columns []parquet.Column
	for _, name := range slices.Concat(rejectColumnNames(), judgedColumnNames()) {
		kind := parquet.String
		if name == "score" {
			kind = parquet.Float64
		}
		columns = append(columns, parquet.Column{Name: name, Kind: kind})
	}
	return columns
}

func rejectColumnNames() []string {
	return []string{"stage", "rule", "reason", "mode", "id", "prompt", "source", "key", "license", "url", "image", "score"}
}

// judgedColumnNames are empty where there is no trajectory.
func judgedColumnNames() []string {
	names := []string{"language", "notes", "strategy"}
	for _, s := range textSlots {
		names = append(names, s.String())
	}
	for _, s := range callSlots {
		names = append(names, s.String()+"_call")
	}
	return append(names, judgedColumns...)
}

// readReject makes a reject of a row of the rejectColumnNames.
func readReject(row parquet.Row) (irgdata.Reject, error) {
	texts := make([]string, len(row)-1)
	for i := range texts {
		texts[i], _ = row[i].(string)
	}
	score, _ := row[len(row)-1].(float64)
	r := irgdata.Reject{
		Stage: texts[0], Rule: texts[1], Reason: texts[2], Mode: texts[3], Score: score,
		Pair: irgdata.Pair{Prompt: texts[5], Source: texts[6], Key: texts[7], License: texts[8], URL: texts[9]},
	}
	if err := r.Pair.ID.UnmarshalText([]byte(texts[4])); err != nil {
		return r, fmt.Errorf("column id: %w", err)
	}
	if err := r.Pair.Image.Digest.UnmarshalText([]byte(texts[10])); err != nil {
		return r, fmt.Errorf("column image: %w", err)
	}
	return r, nil
}

func rejectRow(r irgdata.Reject) (parquet.Row, error) {
	digest := func(d irgdata.Digest) string {
		if d.IsZero() {
			return ""
		}
		return d.String()
	}
	p := r.Pair
	row := parquet.Row{r.Stage, r.Rule, r.Reason, r.Mode, digest(p.ID), p.Prompt, p.Source, p.Key, p.License, p.URL, digest(p.Image.Digest), r.Score}
	if r.Judged == nil {
		for range judgedColumnNames() {
			row = append(row, "")
		}
		return row, nil
	}
	t := r.Judged.Trajectory
	notes, err := json.Marshal(append([]string{}, p.Notes...))
	if err != nil {
		return nil, fmt.Errorf("pair %s: %w", p.ID, err)
	}
	row = append(row, p.Language, string(notes), string(t.Strategy))
	for _, s := range textSlots {
		row = append(row, t.Slots[s].Text)
	}
	for _, s := range callSlots {
		row = append(row, digest(t.Slots[s].Call))
	}
	cells, err := judgedCells(*r.Judged)
	return append(row, cells...), err
}

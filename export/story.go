package export

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// Story is what a snapshot tells of a trajectory, but for the images, of which
// the slots have the calls alone.
type Story struct {
	irgdata.Judged
	// Filled are the slots that have content, images included.
	Filled [irgdata.NumSlots]bool
	Shard  string // its key
	Row    int    // in the shard, from 0
	// Reject says why the trajectory is not in the dataset; nil: it is.
	Reject *irgdata.Reject
}

// Stories yields the trajectories of a snapshot that are wanted by their
// identity, source and key, in the order of the rows: those that were kept, and
// then those that were rejected after they had become trajectories. No image is
// read.
func Stories(ctx context.Context, store blob.Store, s manifests.Snapshot, work string, wanted func(id, source, key string) bool) iter.Seq2[Story, error] {
	return func(yield func(Story, error) bool) {
		for _, part := range []struct {
			shards  []manifests.Shard
			columns []string
		}{
			{s.Shards, append([]string{"id", "prompt", "source", "key", "license", "url"}, judgedColumnNames()...)},
			{s.Rejects, append(rejectColumnNames(), judgedColumnNames()...)},
		} {
			for i, shard := range openAhead(ctx, store, part.shards, work) {
				n := -1
				for row, err := range shard.rows(ctx, part.columns) {
					if err != nil {
						yield(Story{}, err)
						return
					}
					n++
					text := map[string]string{}
					for i, name := range part.columns {
						text[name], _ = row[i].(string)
					}
					if text["verdicts"] == "" || !wanted(text["id"], text["source"], text["key"]) {
						continue
					}
					story, err := readStory(text)
					if _, isReject := text["stage"]; isReject && err == nil {
						var r irgdata.Reject
						if r, err = readReject(row[:len(rejectColumnNames())]); err == nil {
							r.Judged = &story.Judged
							story.Reject = &r
						}
					}
					if err != nil {
						err = fmt.Errorf("read shard %s: row %d: %w", shard.url, n, err)
					}
					story.Shard, story.Row = part.shards[i].Key, n
					if !yield(story, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

func readStory(text map[string]string) (Story, error) {
	id, err := irgdata.ParseDigest(text["id"])
	if err != nil {
		return Story{}, fmt.Errorf("column id: %w", err)
	}
	p := irgdata.Pair{
		ID: id, Prompt: text["prompt"], Language: text["language"],
		Source: text["source"], Key: text["key"], License: text["license"], URL: text["url"],
	}
	var scores []scoreJSON
	var verdicts []verdictJSON
	var warnings []warningJSON
	var failures []failureJSON
	s := Story{Judged: irgdata.Judged{Trajectory: irgdata.NewTrajectory(p, irgdata.Strategy(text["strategy"]))}}
	for name, to := range map[string]any{"notes": &p.Notes, "scores": &scores, "verdicts": &verdicts, "warnings": &warnings, "failures": &failures} {
		if err := json.Unmarshal([]byte(text[name]), to); err != nil {
			return s, fmt.Errorf("column %s: %w", name, err)
		}
	}
	t := &s.Trajectory
	t.Pair.Notes = p.Notes
	for _, score := range scores {
		value := math.NaN()
		if score.Value != nil {
			value = *score.Value
		}
		s.Scores = append(s.Scores, irgdata.Score{Rule: score.Rule, Name: score.Name, Value: value})
	}
	for _, w := range warnings {
		s.Warnings = append(s.Warnings, irgdata.Warning(w))
	}
	if t.Judgements, err = readJudgements(text["judgements"]); err != nil {
		return s, err
	}
	for _, v := range verdicts {
		verdict := irgdata.Verdict{Mode: v.Mode, Keep: v.Keep, Stage: v.Stage, Rule: v.Rule, Reason: v.Reason, Score: math.NaN()}
		if v.Score != nil {
			verdict.Score = *v.Score
		}
		s.Verdicts = append(s.Verdicts, verdict)
	}
	for _, f := range failures {
		t.Failures = append(t.Failures, irgdata.Failure{Step: f.Step, Rule: f.Rule, Reason: f.Reason, Slot: slotOf(f.Slot)})
	}
	for _, slot := range textSlots {
		t.Slots[slot].Text = text[slot.String()]
	}
	for _, slot := range callSlots {
		if err := t.Slots[slot].Call.UnmarshalText([]byte(text[slot.String()+"_call"])); err != nil {
			return s, fmt.Errorf("column %s_call: %w", slot, err)
		}
	}
	for slot, f := range t.Slots {
		s.Filled[slot] = f.Text != "" || !f.Call.IsZero()
	}
	// The identity tells whether the pair came with its reference.
	if irgdata.PairID(p.Prompt, irgdata.Digest{}) != id {
		s.Filled[irgdata.SlotReference] = true
	}
	if t.Strategy == irgdata.Distill {
		s.Filled[irgdata.SlotImproved] = s.Filled[irgdata.SlotReference]
	}
	return s, nil
}

// slotOf is the slot of that name; what an older irgdata called otherwise is
// the prompt.
func slotOf(name string) irgdata.Slot {
	for s := range irgdata.NumSlots {
		if irgdata.Slot(s).String() == name {
			return irgdata.Slot(s)
		}
	}
	return irgdata.SlotPrompt
}

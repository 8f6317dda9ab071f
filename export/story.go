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
	Shard string // its key
	Row   int    // in the shard, from 0
}

// Stories yields the trajectories of a snapshot that are wanted by their
// identity, source and key, in the order of the rows. No image is read.
func Stories(ctx context.Context, store blob.Store, s manifests.Snapshot, work string, wanted func(id, source, key string) bool) iter.Seq2[Story, error] {
	columns := storyColumns()
	return func(yield func(Story, error) bool) {
		for _, shard := range s.Shards {
			n := -1
			for row, err := range shardRows(ctx, store, shard, work, columns) {
				if err != nil {
					yield(Story{}, err)
					return
				}
				n++
				text := map[string]string{}
				for i, name := range columns {
					text[name], _ = row[i].(string)
				}
				if !wanted(text["id"], text["source"], text["key"]) {
					continue
				}
				story, err := readStory(text)
				if err != nil {
					err = fmt.Errorf("read shard %s: row %d: %w", store.URL(shard.Key), n, err)
				}
				story.Shard, story.Row = shard.Key, n
				if !yield(story, err) || err != nil {
					return
				}
			}
		}
	}
}

func storyColumns() []string {
	names := []string{"id", "prompt", "language", "source", "key", "license", "url", "notes", "strategy", "scores", "verdicts", "failures", "judgements"}
	for _, s := range textSlots {
		names = append(names, s.String())
	}
	for _, s := range callSlots {
		names = append(names, s.String()+"_call")
	}
	return names
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
	var verdicts []verdictJSON
	var failures []failureJSON
	s := Story{Judged: irgdata.Judged{Trajectory: irgdata.NewTrajectory(p, irgdata.Strategy(text["strategy"]))}}
	for name, to := range map[string]any{"notes": &p.Notes, "scores": &s.Scores, "verdicts": &verdicts, "failures": &failures} {
		if err := json.Unmarshal([]byte(text[name]), to); err != nil {
			return s, fmt.Errorf("column %s: %w", name, err)
		}
	}
	t := &s.Trajectory
	t.Pair.Notes = p.Notes
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

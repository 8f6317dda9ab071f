package export

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// TestJudgementsRoundTrip: what judge and scorers said, and what the rules made
// of it, comes back from the shards as it was, of kept and rejected ones.
func TestJudgementsRoundTrip(t *testing.T) {
	store, err := blob.NewFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pictures := images.NewStore(store)
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	ref, err := pictures.Put(t.Context(), encoded.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	call := irgdata.DigestOf([]byte("call"))
	said := []irgdata.Judgement{
		{Question: "alignment/1", Subject: "draft", Value: 0.123456, Call: call},
		{Question: "alignment/1", Subject: "improved", Value: 0, Call: call}, // a no, and not an abstention
		{Question: "preference/1", Subject: "draft,improved", Abstained: "the answer tells nothing: \"I can't\"\n…", Call: call},
		{Question: "claims/1", Subject: "reflection", Value: 1, Call: call},
		{Question: "defect/1", Subject: "draft", About: "It is <pale> & „small“.", Value: 1, Call: call},
		{Question: "defect/1", Subject: "improved", About: "It is <pale> & „small“.", Abstained: "unavailable: no answer"}, // its call is not in the ledger
		{Question: "score.clip/1", Subject: "improved", About: "similarity", Value: -1e-9, Call: call},
		{Question: "score.clip/1", Subject: "improved", About: "size", Value: 1e21, Call: call},
	}
	judged := func(prompt string, judgements []irgdata.Judgement, keep bool) irgdata.Judged {
		pair := irgdata.Pair{Prompt: prompt, Image: ref, Source: "s", Key: prompt}
		pair.ID = irgdata.PairID(prompt, ref.Digest)
		j := irgdata.Judged{
			Trajectory: irgdata.NewTrajectory(pair, irgdata.Distill),
			Scores:     []irgdata.Score{{Rule: "alignment/1", Name: "improved.p_yes", Value: 0}, {Rule: "preference/1", Name: "improved.p_preferred", Value: math.NaN()}},
			Warnings:   []irgdata.Warning{{Rule: "alignment", Name: "improved.p_yes", Reason: "by the judge …", Score: 0}},
		}
		j.Trajectory.Judgements = judgements
		for _, m := range modes.All() {
			v := irgdata.Verdict{Mode: m.Name, Keep: keep}
			if !keep {
				v.Stage, v.Rule, v.Reason, v.Score = irgdata.StageFilter, "faithfulness", "by the judge …", .25
			}
			j.Verdicts = append(j.Verdicts, v)
		}
		return j
	}
	kept, silent, left := judged("kept", said, true), judged("silent", nil, true), judged("left", said, false)
	reject := &irgdata.Reject{Pair: left.Trajectory.Pair, Stage: irgdata.StageFilter, Rule: "faithfulness", Reason: "by the judge …", Score: .25, Judged: &left}
	content, _, err := WriteShards(t.Context(), func(yield func(irgdata.Item[irgdata.Judged], error) bool) {
		_ = yield(irgdata.Item[irgdata.Judged]{Value: kept}, nil) && yield(irgdata.Item[irgdata.Judged]{Value: silent}, nil) && yield(irgdata.Item[irgdata.Judged]{Reject: reject}, nil)
	}, pictures, store, new(Previous), ShardOptions{Modes: modes.All(), Bytes: 1 << 20, RowGroupBytes: 1 << 20, RowGroupRows: 10, Workers: 2, Work: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if want := []manifests.RuleCount{{Rule: "alignment", Count: 2}}; !cmp.Equal(content.Counts.Warnings, want) {
		t.Errorf("counted warnings %+v, want %+v", content.Counts.Warnings, want)
	}

	p := &plan{snapshot: manifests.Snapshot{Content: content}, store: store, work: t.TempDir()}
	var rows []irgdata.Trajectory
	for r, err := range p.records(t.Context(), func(int, int) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r.record.trajectory)
	}
	for i, want := range []irgdata.Judged{kept, silent} {
		if diff := cmp.Diff(want.Trajectory.Judgements, rows[i].Judgements, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("row %d: %s", i, diff)
		}
	}

	s := manifests.Snapshot{Content: content}
	stories := map[string]Story{}
	for story, err := range Stories(t.Context(), store, s, t.TempDir(), func(_, _, _ string) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		stories[story.Trajectory.Pair.Key] = story
	}
	for _, want := range []irgdata.Judged{kept, silent, left} {
		got := stories[want.Trajectory.Pair.Key]
		if diff := cmp.Diff(want.Trajectory.Judgements, got.Trajectory.Judgements, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("story of %s: %s", want.Trajectory.Pair.Key, diff)
		}
		for i := range want.Verdicts {
			if want.Verdicts[i].Keep {
				want.Verdicts[i].Score = math.NaN() // nothing was measured against it
			}
		}
		want.Trajectory, got.Trajectory = irgdata.Trajectory{}, irgdata.Trajectory{}
		if diff := cmp.Diff(want, got.Judged, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("story: %s", diff)
		}
	}
	if r := stories["left"].Reject; r == nil || r.Rule != "faithfulness" {
		t.Errorf("the reject is %+v", r)
	}
}

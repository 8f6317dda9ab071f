package ingest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/flow"
	"github.com/irgdata/irgdata/manifests"
)

// Open reads the feeds and yields their items, in order. It goes in two
// passes, because which of several similar pairs stays is known when all have
// been seen: the first makes entries, into a nameless file of the work folder
// and into the catalog, and the second yields pairs and rejects.
//
// It holds Loaders images at a time, the entries of a unit for each feed, and
// about 290 bytes for each pair.
func Open(ctx context.Context, feeds []Feed, a *Admission, o Options, catalog *manifests.Catalog, keep Keep) iter.Seq2[irgdata.Item[irgdata.Pair], error] {
	return func(yield func(irgdata.Item[irgdata.Pair], error) bool) {
		if err := open(ctx, feeds, a, o, catalog, keep, yield); err != nil {
			yield(irgdata.Item[irgdata.Pair]{}, err)
		}
	}
}

func open(ctx context.Context, feeds []Feed, a *Admission, o Options, catalog *manifests.Catalog, keep Keep, yield func(irgdata.Item[irgdata.Pair], error) bool) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	spool, err := newSpool(o.Work)
	if err != nil {
		return err
	}
	defer spool.close()
	similar := newSimilar(o)
	s := &scanner{feeds: feeds, o: o, admit: a, catalog: catalog, keep: keep}
	for f, err := range s.scan(ctx) {
		if err != nil {
			return err
		}
		line := spooled{Feed: f.feed, Entry: f.entry}
		if line.Removed = removalOf(o.Removed, feeds[f.feed].Source.Name(), f.entry); line.Removed == nil && o.Contaminated != nil && f.entry.Rule == "" {
			if reason, score, bad := o.Contaminated(f.entry.Prompt); bad {
				line.Contamination = &contamination{reason, score}
			}
		}
		if err := spool.write(line); err != nil {
			return err
		}
		if line.pair() {
			similar.add(f.entry, line.Removed != nil)
		}
		if o.Saw != nil {
			o.Saw()
		}
	}
	if err := similar.decide(ctx); err != nil {
		return err
	}
	n := 0
	for line, err := range spool.entries(ctx, o.Workers) {
		if err != nil {
			return err
		}
		p := line.Entry.pair(feeds[line.Feed].Source.Name(), feeds[line.Feed].License)
		item := irgdata.Item[irgdata.Pair]{Value: p}
		switch {
		case line.Removed != nil:
			item = line.Removed.reject(p)
			if line.pair() {
				n++
			}
		case line.Entry.Rule != "":
			item = reject(p, line.Entry.Rule, line.Entry.Reason)
		case line.Contamination != nil:
			item = reject(p, "contaminated", line.Contamination.Reason)
			item.Reject.Score = line.Contamination.Score
		default:
			if r := similar.against(n, p); r != nil {
				item = irgdata.Item[irgdata.Pair]{Reject: r}
			}
			n++
		}
		if !yield(item, nil) {
			return nil
		}
	}
	return nil
}

// spool keeps the entries between the two passes.
type spool struct {
	file *os.File
	out  *bufio.Writer
	enc  *json.Encoder
}

// spooled is a line of a spool.
type spooled struct {
	Feed  int   `json:"feed"`
	Entry Entry `json:"entry"`
	// Contamination is set for what would be a pair but for its prompt.
	Contamination *contamination `json:"contamination,omitempty"`
	// Removed is set for what must not be in the dataset.
	Removed *removed `json:"removed,omitempty"`
}

// removed is what a removal said of an item.
type removed struct {
	Removal int    `json:"removal"`
	Reason  string `json:"reason,omitempty"`
	Source  bool   `json:"source,omitempty"` // the whole source was removed
}

// removalOf is what takes an entry of the named source out, or nil. An entry that
// was purged has no address any more and says itself what took it out, unless a
// removal of more weight does since.
func removalOf(all *manifests.Removed, source string, e Entry) *removed {
	if e.Purged == nil && (all == nil || all.Newest == 0) {
		return nil // without the making of a pair
	}
	r, whole := all.Pair(e.pair(source, ""))
	if p := e.Purged; p != nil && (r == nil || whole && !p.Source) {
		if r, whole = all.Number(p.Removal), p.Source; r == nil {
			r = &manifests.Removal{Number: p.Removal}
		}
	}
	if r == nil {
		return nil
	}
	return &removed{Removal: r.Number, Reason: r.Reason, Source: whole}
}

// reject is the reject of an item that was removed. It tells where the item is
// and nothing of what it says or shows.
func (r *removed) reject(p irgdata.Pair) irgdata.Item[irgdata.Pair] {
	reason := fmt.Sprintf("it was removed by removal %d", r.Removal)
	if r.Reason != "" {
		reason += ": " + r.Reason
	}
	return reject(irgdata.Pair{ID: p.ID, Source: p.Source, Key: p.Key}, ruleRemoved, reason)
}

// contamination is what Options.Contaminated said of a prompt.
type contamination struct {
	Reason string  `json:"reason"`
	Score  float64 `json:"score"`
}

// pair reports whether the entry is compared with others: nothing but a similar
// pair speaks against it, or it was removed, and what is similar to it goes too.
func (s spooled) pair() bool {
	return !s.Entry.id().IsZero() && s.Contamination == nil && (s.Removed == nil || !s.Removed.Source)
}

func newSpool(work string) (*spool, error) {
	file, err := blob.TempFile(work)
	if err != nil {
		return nil, fmt.Errorf("ingest: make a file for the entries: %w", err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	return &spool{file: file, out: out, enc: json.NewEncoder(out)}, nil
}

func (s *spool) write(line spooled) error {
	if err := s.enc.Encode(line); err != nil {
		return fmt.Errorf("ingest: keep the entries: %w", err)
	}
	return nil
}

// entries reads back what was written.
func (s *spool) entries(ctx context.Context, workers int) iter.Seq2[spooled, error] {
	decoded := flow.Map(ctx, s.blocks(), flow.Options{Workers: workers}, func(_ context.Context, block []byte) (lines []spooled, err error) {
		for text := range bytes.Lines(block) {
			var line spooled
			if err := json.Unmarshal(text, &line); err != nil {
				return nil, fmt.Errorf("ingest: read the entries back: %w", err)
			}
			lines = append(lines, line)
		}
		return lines, nil
	})
	return func(yield func(spooled, error) bool) {
		for lines, err := range decoded {
			if err != nil {
				yield(spooled{}, err)
				return
			}
			for _, line := range lines {
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}

// spoolBlock is about the size of the pieces in which a spool is read.
const spoolBlock = 64 << 10

// blocks reads back what was written, in pieces of whole lines.
func (s *spool) blocks() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := s.out.Flush()
		if err == nil {
			_, err = s.file.Seek(0, io.SeekStart)
		}
		if err != nil {
			yield(nil, fmt.Errorf("ingest: read the entries back: %w", err))
			return
		}
		in := bufio.NewReader(s.file)
		for err == nil {
			block := make([]byte, spoolBlock)
			var n int
			n, err = io.ReadFull(in, block)
			block = block[:n]
			if err == nil {
				var rest []byte
				rest, err = in.ReadBytes('\n')
				block = append(block, rest...)
			}
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				yield(nil, fmt.Errorf("ingest: read the entries back: %w", err))
				return
			}
			if len(block) > 0 && !yield(block, nil) {
				return
			}
		}
	}
}

func (s *spool) close() { s.file.Close() } // nameless: nothing is kept

// similar finds pairs that are the same, or nearly so. Pairs have numbers from
// 0 in the order of their arrival.
type similar struct {
	preferred func(irgdata.Digest) bool
	seen      map[[16]byte]struct{}
	gone      map[[16]byte]struct{} // those that were removed
	exact     []bool                // by number
	index     *Duplicates
	decision  *Decision
}

func newSimilar(o Options) *similar {
	return &similar{preferred: o.Preferred, seen: map[[16]byte]struct{}{}, gone: map[[16]byte]struct{}{}, index: NewDuplicates(o.Duplicates)}
}

func (s *similar) add(e Entry, removed bool) {
	id := e.id()
	key := [16]byte(id[:16])
	_, before := s.seen[key]
	s.seen[key] = struct{}{}
	s.exact = append(s.exact, before)
	c := Candidate{ID: id, Image: e.Hash, Quality: e.Quality, Prompt: e.signature(), Pixels: int64(e.Image.Width) * int64(e.Image.Height)}
	if before { // similar to nothing: the first one speaks for both
		c = Candidate{ID: id}
	}
	switch {
	case removed:
		c.Rank = RankRemoved
		s.gone[key] = struct{}{}
	case s.preferred != nil && s.preferred(id):
		c.Rank = RankPreferred
	}
	s.index.Add(c)
}

func (s *similar) decide(ctx context.Context) (err error) {
	s.decision, err = s.index.Decide(ctx)
	return err
}

// against is the reject of a pair whose place another one takes, or nil.
func (s *similar) against(number int, p irgdata.Pair) *irgdata.Reject {
	if s.exact[number] {
		return reject(p, "duplicate", "an earlier pair has the same prompt and the same image").Reject
	}
	by, goes := s.decision.Replaced(number)
	if !goes {
		return nil
	}
	fate := "stays"
	if _, gone := s.gone[[16]byte(by.ID[:16])]; gone {
		fate = "was removed"
	}
	r := irgdata.Reject{Pair: p, Stage: "ingest", Score: by.Value}
	switch by.Kind {
	case SimilarImage:
		r.Rule, r.Reason = "similar_image", fmt.Sprintf("the image looks like that of pair %s, which %s: %.0f of 256 bits of their hashes differ", by.ID.Short(), fate, by.Value)
	case SimilarPrompt:
		r.Rule, r.Reason = "similar_prompt", fmt.Sprintf("the prompt says what that of pair %s says, which %s: they are %.0f%% alike", by.ID.Short(), fate, 100*by.Value)
	}
	return &r
}

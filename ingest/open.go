package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/minhash"
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
		if o.Contaminated != nil && f.entry.Rule == "" {
			if reason, score, bad := o.Contaminated(f.entry.Prompt); bad {
				line.Contamination = &contamination{reason, score}
			}
		}
		if err := spool.write(line); err != nil {
			return err
		}
		if line.pair() {
			similar.add(f.entry)
		}
		if o.Saw != nil {
			o.Saw()
		}
	}
	if err := similar.decide(ctx); err != nil {
		return err
	}
	n := 0
	for line, err := range spool.entries() {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p := line.Entry.pair(feeds[line.Feed].Source.Name(), feeds[line.Feed].License)
		item := irgdata.Item[irgdata.Pair]{Value: p}
		switch {
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
}

// contamination is what Options.Contaminated said of a prompt.
type contamination struct {
	Reason string  `json:"reason"`
	Score  float64 `json:"score"`
}

// pair reports whether nothing but a similar pair speaks against the entry.
func (s spooled) pair() bool { return s.Entry.Rule == "" && s.Contamination == nil }

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
func (s *spool) entries() iter.Seq2[spooled, error] {
	return func(yield func(spooled, error) bool) {
		err := s.out.Flush()
		if err == nil {
			_, err = s.file.Seek(0, io.SeekStart)
		}
		dec := json.NewDecoder(bufio.NewReaderSize(s.file, 1<<20))
		for {
			var line spooled
			if err == nil {
				err = dec.Decode(&line)
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				err = fmt.Errorf("ingest: read the entries back: %w", err)
			}
			if !yield(line, err) || err != nil {
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
	exact     []bool // by number
	index     *Duplicates
	decision  *Decision
}

func newSimilar(o Options) *similar {
	return &similar{preferred: o.Preferred, seen: map[[16]byte]struct{}{}, index: NewDuplicates(o.Duplicates)}
}

func (s *similar) add(e Entry) {
	id := irgdata.PairID(e.Prompt, e.Image.Digest)
	key := [16]byte(id[:16])
	_, before := s.seen[key]
	s.seen[key] = struct{}{}
	s.exact = append(s.exact, before)
	c := Candidate{ID: id, Image: e.Hash, Quality: e.Quality, Prompt: minhash.Of(e.Prompt), Pixels: int64(e.Image.Width) * int64(e.Image.Height)}
	if before { // similar to nothing: the first one speaks for both
		c = Candidate{ID: id}
	}
	c.Preferred = s.preferred != nil && s.preferred(id)
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
	r := irgdata.Reject{Pair: p, Stage: "ingest", Score: by.Value}
	switch by.Kind {
	case SimilarImage:
		r.Rule, r.Reason = "similar_image", fmt.Sprintf("the image looks like that of pair %s, which stays: %.0f of 256 bits of their hashes differ", by.ID.Short(), by.Value)
	case SimilarPrompt:
		r.Rule, r.Reason = "similar_prompt", fmt.Sprintf("the prompt says what that of pair %s says, which stays: they are %.0f%% alike", by.ID.Short(), 100*by.Value)
	}
	return &r
}

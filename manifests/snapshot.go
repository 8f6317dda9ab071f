package manifests

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

const (
	manifestPrefix = "manifests/"
	manifestSuffix = ".json"
	manifestFormat = 3
	// maxManifest bounds a manifest's bytes against damaged and hostile ones.
	maxManifest = 256 << 20
)

// Snapshot is one published state of the dataset. It is never changed. Equal
// inputs, settings and answers give an equal manifest, byte for byte: it holds
// no time, no host and no measured second.
type Snapshot struct {
	Format int `json:"format"`
	// Number counts from 1, and Parent is the snapshot before it, 0 for none.
	Number int `json:"number"`
	Parent int `json:"parent"`
	Content
	// Checksum is the digest of the manifest's bytes with this field empty.
	Checksum irgdata.Digest `json:"checksum"`
}

// Content is what a snapshot holds.
type Content struct {
	// Configuration is the digest of Settings.
	Configuration irgdata.Digest `json:"configuration"`
	Settings      Settings       `json:"settings"`
	Counts        Counts         `json:"counts"`
	// Opinions count what judge and scorers said of all annotated pairs, those
	// of the rejects included.
	Opinions []Opinion `json:"opinions,omitempty"`
	// Shards hold the trajectories, Rejects what was left out, in the order of
	// the sources. Their names and digests are those of their bytes.
	Shards  []Shard `json:"shards"`
	Rejects []Shard `json:"reject_shards"`
	// Members lists the pairs of the trajectories.
	Members Members `json:"members"`
}

// Settings is all that shapes a dataset besides the pairs and the answers.
type Settings struct {
	Strategy irgdata.Strategy `json:"strategy"`
	Modes    []string         `json:"modes"`
	Seed     uint64           `json:"seed"`
	Width    int              `json:"width"` // of painted images
	Height   int              `json:"height"`
	Limit    int              `json:"limit,omitempty"`  // of items read, for previews
	Sample   float64          `json:"sample,omitempty"` // the part of the items read, for previews
	Sources  []SourceName     `json:"sources"`
	// Ingest has what decides which items become pairs, by the keys of the
	// configuration.
	Ingest    map[string]string `json:"ingest"`
	Models    []Binding         `json:"models"`
	Steps     []string          `json:"steps"` // "draft/1"
	Templates []TemplateName    `json:"templates"`
	Rules     []RuleSetting     `json:"rules"`
	// Select is how much is wanted of what passes the rules, by the keys of the
	// configuration.
	Select map[string]string `json:"select"`
	// Removals is the number of the newest removal that was honoured.
	Removals int `json:"removals,omitempty"`
}

// Preview reports whether only a part of the items was read.
func (s Settings) Preview() bool { return s.Limit > 0 || s.Sample > 0 }

// SourceName is a source as the configuration names it.
type SourceName struct {
	Name    string  `json:"name"`
	License string  `json:"license,omitempty"`
	Limit   int     `json:"limit,omitempty"`
	Weight  float64 `json:"weight,omitempty"`
}

// Binding is the model that played a role.
type Binding struct {
	Role  string `json:"role"`
	Model string `json:"model"` // "name@revision"
}

// TemplateName identifies the text of a template.
type TemplateName struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Digest  irgdata.Digest `json:"digest"`
}

// RuleSetting is a filter rule, its parameters and what an objection does.
type RuleSetting struct {
	Rule       string             `json:"rule"` // "size/1"
	Action     string             `json:"action"`
	Parameters map[string]float64 `json:"parameters"`
}

// Digest identifies the settings.
func (s Settings) Digest() (irgdata.Digest, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return irgdata.Digest{}, fmt.Errorf("digest the settings: %w", err)
	}
	return irgdata.DigestOf(text), nil
}

// Counts add up: Items = Trajectories + Rejected, and for each mode
// Trajectories = Rows + Rejected.
type Counts struct {
	// Items came out of the sources.
	Items int64 `json:"items"`
	// Trajectories serve one mode at least; each is a row of a shard.
	Trajectories int64 `json:"trajectories"`
	// Rejected items are in no shard.
	Rejected int64       `json:"rejected"`
	Modes    []ModeCount `json:"modes"`
	// Reasons counts the rejects, of items and of single modes.
	Reasons []ReasonCount `json:"reasons"`
	// Funnels follow the items, and then the rows of each mode, through the stages.
	Funnels []Funnel `json:"funnels"`
	// Warnings count the trajectories in shards that a rule warned of.
	Warnings []RuleCount `json:"warnings"`
	// Lengths are those of the texts of trajectories in shards, and of the rows of
	// modes.
	Lengths []Histogram `json:"lengths"`
}

// ModeCount counts the trajectories that serve a wanted mode and those that
// do not.
type ModeCount struct {
	Mode     string `json:"mode"`
	Rows     int64  `json:"rows"`
	Rejected int64  `json:"rejected"`
	// Bytes is the size of the images and texts that the mode's rows show.
	Bytes int64 `json:"bytes"`
	// MaxBytes is that size of the largest row.
	MaxBytes int64 `json:"max_bytes"`
}

// ReasonCount counts the rejects of one rule.
type ReasonCount struct {
	Stage string `json:"stage"`
	Rule  string `json:"rule"`
	Mode  string `json:"mode,omitempty"` // empty: whole items
	Count int64  `json:"count"`
}

// CountReasons lists the counts by reason, the most frequent first; the Count
// of the keys is zero.
func CountReasons(counts map[ReasonCount]int64) []ReasonCount {
	reasons := []ReasonCount{}
	for reason, n := range counts {
		reason.Count = n
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Mode, b.Mode))
	})
	return reasons
}

// Shard is a Parquet file of the store.
type Shard struct {
	Key       string         `json:"key"`
	Digest    irgdata.Digest `json:"digest"`
	Size      int64          `json:"size"`
	Rows      int64          `json:"rows"`
	RowGroups int            `json:"row_groups"`
}

// check reports what cannot be true of a manifest, whoever wrote it.
func (s Snapshot) check(number int) error {
	if s.Number != number || s.Parent != number-1 {
		return fmt.Errorf("it says that it is number %d after %d", s.Number, s.Parent)
	}
	if digest, err := s.Settings.Digest(); err != nil || digest != s.Configuration {
		return errors.New("its configuration digest is not that of its settings")
	}
	if m := s.Members; m.Count != s.Counts.Trajectories || m.Count > 0 && m.Key != memberPrefix+m.Digest.String() {
		return fmt.Errorf("it lists %d members in %.100q, want %d", m.Count, m.Key, s.Counts.Trajectories)
	}
	return checkShards(s.Counts, s.Shards, s.Rejects)
}

// checkShards reports counts that do not add up, and shards that do not hold
// what is counted.
func checkShards(c Counts, shards, rejectShards []Shard) error {
	if c.Items != c.Trajectories+c.Rejected {
		return fmt.Errorf("its counts do not add up: %d items, %d trajectories, %d rejected", c.Items, c.Trajectories, c.Rejected)
	}
	if err := c.checkFunnels(); err != nil {
		return err
	}
	rejects := c.Rejected
	for _, m := range c.Modes {
		if c.Trajectories != m.Rows+m.Rejected {
			return fmt.Errorf("its counts of mode %s do not add up: %d trajectories, %d rows, %d rejected", m.Mode, c.Trajectories, m.Rows, m.Rejected)
		}
		rejects += m.Rejected
	}
	var reasons int64
	for _, r := range c.Reasons {
		reasons += r.Count
	}
	if reasons != rejects {
		return fmt.Errorf("its reasons count %d rejects, want %d", reasons, rejects)
	}
	for _, list := range []struct {
		shards []Shard
		prefix string
		rows   int64
	}{{shards, ShardPrefix, c.Trajectories}, {rejectShards, RejectPrefix, rejects}} {
		var rows int64
		for _, shard := range list.shards {
			if shard.Key != shardKey(list.prefix, shard.Digest) || shard.Size <= 0 || shard.Rows <= 0 {
				return fmt.Errorf("its shard %.100q is no shard", shard.Key)
			}
			rows += shard.Rows
		}
		if rows != list.rows {
			return fmt.Errorf("its %s hold %d rows, want %d", strings.TrimSuffix(list.prefix, "/"), rows, list.rows)
		}
	}
	return nil
}

// The folders of the store that hold shards.
const (
	ShardPrefix  = "shards/"
	RejectPrefix = "rejects/"
)

func shardKey(prefix string, d irgdata.Digest) string { return prefix + d.String() + ".parquet" }

// PutShard puts a shard of the given digest and size into the store. Equal
// shards are one object, so that a repeated run writes none again, but for one
// that is damaged.
func PutShard(ctx context.Context, store blob.Store, prefix string, body io.ReadSeeker, digest irgdata.Digest, size int64) (key string, err error) {
	key = shardKey(prefix, digest)
	return key, blob.PutContent(ctx, store, key, body, size, digest)
}

// Key is where the manifest of a snapshot lies in its store.
func Key(number int) string {
	return fmt.Sprintf("%s%06d%s", manifestPrefix, number, manifestSuffix)
}

// encode gives the bytes of a manifest, with the right checksum.
func (s Snapshot) encode() ([]byte, error) {
	s.Checksum = irgdata.Digest{}
	text, err := s.encodeAsIs()
	if err != nil {
		return nil, err
	}
	s.Checksum = irgdata.DigestOf(text)
	return s.encodeAsIs()
}

func (s Snapshot) encodeAsIs() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s)
	return out.Bytes(), err
}

// Digest identifies the snapshot by the bytes of its manifest.
func (s Snapshot) Digest() (irgdata.Digest, error) {
	text, err := s.encode()
	if err != nil {
		return irgdata.Digest{}, fmt.Errorf("digest snapshot %d: %w", s.Number, err)
	}
	return irgdata.DigestOf(text), nil
}

// maxRebase bounds how often a commit follows other runs' commits.
const maxRebase = 100

// Commit publishes the content as the next snapshot; all its shards are in the
// store already. If the newest snapshot holds exactly this content, it is
// returned and nothing is published (published is false): a run that was
// killed after its commit, or whose answer was lost, finds its own snapshot.
// If another run publishes at the same time, this one follows it. Content that does
// not honour a removal which is in the store by now is refused: ErrRemovedMeanwhile.
func Commit(ctx context.Context, store blob.Store, content Content) (snapshot Snapshot, published bool, err error) {
	for range maxRebase {
		parent, err := Latest(ctx, store)
		switch {
		case errors.Is(err, ErrNoSnapshot):
			parent = Snapshot{}
		case err != nil:
			return Snapshot{}, false, fmt.Errorf("commit: %w", err)
		}
		removed, err := LoadRemoved(ctx, store)
		if err != nil {
			return Snapshot{}, false, fmt.Errorf("commit: %w", err)
		}
		if err := removed.checkLost(store, parent); err != nil {
			return Snapshot{}, false, fmt.Errorf("commit: %w", err)
		}
		if newer := max(parent.Settings.Removals, removed.Newest); newer > content.Settings.Removals {
			return Snapshot{}, false, fmt.Errorf("%w: removal %d", ErrRemovedMeanwhile, newer)
		}
		if parent.Number > 0 {
			same, err := equalContent(parent.Content, content)
			if err != nil {
				return Snapshot{}, false, fmt.Errorf("commit: %w", err)
			}
			if same {
				return parent, published, nil
			}
		}
		next := Snapshot{Format: manifestFormat, Number: parent.Number + 1, Parent: parent.Number, Content: content}
		text, err := next.encode()
		if err == nil {
			next, err = decodeManifest(text, next.Number) // what readers will see
		}
		if err != nil {
			return Snapshot{}, false, fmt.Errorf("commit snapshot %d: %w", next.Number, err)
		}
		err = blob.PutBytes(ctx, store, Key(next.Number), text, blob.PutOptions{CreateOnly: true})
		if err == nil {
			return next, true, nil
		}
		if !errors.Is(err, blob.ErrExists) {
			return Snapshot{}, false, fmt.Errorf("commit snapshot %d: %w", next.Number, err)
		}
		// Taken: by another run, or by this one when the answer to a first try
		// was lost. The next round tells which.
		published = true
	}
	return Snapshot{}, false, fmt.Errorf("commit: other runs were faster %d times: try again later", maxRebase)
}

// ErrRemovedMeanwhile says that a content still has what was removed from the
// dataset since.
var ErrRemovedMeanwhile = errors.New("pairs were removed from the dataset that this content may have")

// Rollback publishes the content of an earlier snapshot again, as the next one:
// history is never rewritten. One from before a removal does not come back.
func Rollback(ctx context.Context, store blob.Store, number int) (snapshot Snapshot, published bool, err error) {
	s, err := LoadWhole(ctx, store, number)
	if err != nil {
		return Snapshot{}, false, err
	}
	snapshot, published, err = Commit(ctx, store, s.Content)
	if err != nil {
		return Snapshot{}, false, fmt.Errorf("roll back to snapshot %d: %w", number, err)
	}
	return snapshot, published, nil
}

func equalContent(a, b Content) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

// ErrNoSnapshot says that the store has no snapshot, or not the one asked for.
var ErrNoSnapshot = errors.New("there is no such snapshot")

// Numbers lists the snapshots of the store, oldest first.
func Numbers(ctx context.Context, store blob.Store) ([]int, error) {
	var numbers []int
	for o, err := range store.List(ctx, manifestPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		n, err := strconv.Atoi(strings.TrimSuffix(path.Base(o.Key), manifestSuffix))
		if err != nil || n < 1 || o.Key != Key(n) {
			continue // no object of ours
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// Latest reads the newest snapshot, or gives ErrNoSnapshot.
func Latest(ctx context.Context, store blob.Store) (Snapshot, error) {
	numbers, err := Numbers(ctx, store)
	if err != nil {
		return Snapshot{}, err
	}
	if len(numbers) == 0 {
		return Snapshot{}, fmt.Errorf("%w in %s: run `irgdata build` first", ErrNoSnapshot, store.URL(manifestPrefix))
	}
	return Load(ctx, store, slices.Max(numbers))
}

// LatestFull reads the newest snapshot that is no preview and has not expired,
// or the newest one if all are previews, or gives ErrNoSnapshot.
func LatestFull(ctx context.Context, store blob.Store) (Snapshot, error) {
	numbers, err := Numbers(ctx, store)
	if err != nil {
		return Snapshot{}, err
	}
	expired, err := Expired(ctx, store)
	if err != nil {
		return Snapshot{}, err
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	for _, n := range numbers {
		if _, gone := expired[n]; gone {
			continue
		}
		s, err := Load(ctx, store, n)
		if err != nil || !s.Settings.Preview() {
			return s, err
		}
	}
	return Latest(ctx, store)
}

// Load reads a snapshot's manifest and checks that it can be true.
func Load(ctx context.Context, store blob.Store, number int) (Snapshot, error) {
	key := Key(number)
	text, err := blob.ReadAll(ctx, store, key, maxManifest)
	if errors.Is(err, blob.ErrNotExist) {
		return Snapshot{}, fmt.Errorf("%w: %s", ErrNoSnapshot, store.URL(key))
	}
	if err != nil {
		return Snapshot{}, err
	}
	s, err := decodeManifest(text, number)
	if err != nil {
		err = fmt.Errorf("read manifest %s: %w", store.URL(key), damage(err))
		if isDamage(err) {
			err = fmt.Errorf("%w: `irgdata verify --repair` makes it good, or says what else there is to do", err)
		}
		return Snapshot{}, err
	}
	return s, nil
}

func decodeManifest(text []byte, number int) (Snapshot, error) {
	var s Snapshot
	// The format first: another one may have other fields.
	var of struct{ Format int }
	if err := json.Unmarshal(text, &of); err != nil {
		return Snapshot{}, err
	}
	if of.Format != manifestFormat {
		return Snapshot{}, &otherFormatError{of.Format, manifestFormat}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Snapshot{}, err
	}
	if err := s.check(number); err != nil {
		return Snapshot{}, err
	}
	// The checksum and whatever JSON lets slip, such as white space.
	if again, err := s.encode(); err != nil || !bytes.Equal(again, text) {
		return Snapshot{}, errors.New("it was changed: its checksum does not fit")
	}
	return s, nil
}

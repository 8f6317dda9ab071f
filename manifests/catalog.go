package manifests

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// The catalog keeps, for each unit of the sources, what ingest made of its
// items, so that a unit that has not changed is not read again. A record is an
// object of zstd-compressed JSON lines: a header, then a line for each item; a
// skippable frame with the SHA-256 of all before it ends it. It
// is never changed; a later record of the same unit has the next number.
const (
	catalogPrefix = "catalog/"
	catalogSuffix = ".jsonl.zst"
	catalogFormat = 2
	// maxRecord bounds a record's bytes, compressed and not.
	maxRecord = 1 << 30
)

type catalogHeader struct {
	Catalog int `json:"catalog"` // catalogFormat
	Items   int `json:"items"`
	// Source is the name of the unit's source when it was read.
	Source string `json:"source,omitempty"`
}

// Catalog is the catalog in a store. It is safe for concurrent use.
type Catalog struct {
	store    blob.Store
	readOnly bool

	mu   sync.Mutex
	used map[irgdata.Digest]int // numbers of the records loaded and saved
}

// NewCatalog keeps records in the store.
func NewCatalog(store blob.Store) *Catalog {
	return &Catalog{store: store, used: map[irgdata.Digest]int{}}
}

// ReadOnly is the same catalog for one who leaves no trace: what is saved to it
// is not kept.
func (c *Catalog) ReadOnly() *Catalog {
	read := NewCatalog(c.store)
	read.readOnly = true
	return read
}

func (c *Catalog) use(unit irgdata.Digest, number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used[unit] = number
}

// Record is what the catalog knows of a unit.
type Record struct {
	Unit   irgdata.Digest
	Number int    // of the record, 0 if there is none
	Source string // the name that the unit's source had
	Items  []json.RawMessage
}

func catalogKey(unit irgdata.Digest, number int) string {
	return fmt.Sprintf("%s%s/%04d%s", catalogPrefix, unit, number, catalogSuffix)
}

// Load returns the newest record of the unit. One that is damaged counts for
// none, and the next one is written in its place: reading the source again
// costs time, no model call.
func (c *Catalog) Load(ctx context.Context, unit irgdata.Digest) (Record, error) {
	r := Record{Unit: unit}
	for o, err := range c.store.List(ctx, catalogPrefix+unit.String()+"/") {
		if err != nil {
			return Record{}, fmt.Errorf("catalog: list the records of unit %s: %w", unit, err)
		}
		r.Number = max(r.Number, recordNumber(o.Key, unit))
	}
	c.use(unit, r.Number)
	if r.Number == 0 {
		return r, nil
	}
	encoded, err := blob.ReadAll(ctx, c.store, catalogKey(unit, r.Number), maxRecord)
	if err != nil {
		return Record{}, fmt.Errorf("catalog: %w", err)
	}
	if r.Source, r.Items, err = decodeRecord(encoded); err != nil {
		r.Items = nil
	}
	return r, nil
}

// Each calls see for the newest record of each unit that was ever read. Damaged
// ones are passed over.
func (c *Catalog) Each(ctx context.Context, see func(Record) error) error {
	var unit irgdata.Digest
	for o, err := range c.store.List(ctx, catalogPrefix) {
		if err != nil {
			return fmt.Errorf("catalog: list the records: %w", err)
		}
		d, err := irgdata.ParseDigest(path.Base(path.Dir(o.Key)))
		if err != nil || d == unit {
			continue // no object of ours, or another record of the same unit
		}
		unit = d
		r, err := c.Load(ctx, unit)
		if err == nil && r.Items != nil {
			err = see(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Numbers lists the units with the numbers of their records: of those that were
// loaded or saved here, what these were, and of the others the newest ones.
func (c *Catalog) Numbers(ctx context.Context) (map[irgdata.Digest]int, error) {
	numbers := map[irgdata.Digest]int{}
	for o, err := range c.store.List(ctx, catalogPrefix) {
		if err != nil {
			return nil, fmt.Errorf("catalog: list the records: %w", err)
		}
		unit, err := irgdata.ParseDigest(path.Base(path.Dir(o.Key)))
		if err != nil {
			continue // no object of ours
		}
		numbers[unit] = max(numbers[unit], recordNumber(o.Key, unit))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(numbers, c.used)
	return numbers, nil
}

// recordNumber is that of the unit's record under the key, 0 if it is none.
func recordNumber(key string, unit irgdata.Digest) int {
	number, err := strconv.Atoi(strings.TrimSuffix(path.Base(key), catalogSuffix))
	if err != nil || key != catalogKey(unit, number) {
		return 0
	}
	return number
}

// Save keeps the record of the unit as the one after that of its number. If another run has
// kept one meanwhile, that one stays, and kept is false.
func (c *Catalog) Save(ctx context.Context, unit irgdata.Digest, r Record) (kept bool, err error) {
	if c.readOnly {
		return true, nil
	}
	encoded, err := encodeRecord(r)
	if err != nil {
		return false, fmt.Errorf("catalog: unit %s: %w", unit, err)
	}
	err = blob.PutBytes(ctx, c.store, catalogKey(unit, r.Number+1), encoded, blob.PutOptions{CreateOnly: true})
	if errors.Is(err, blob.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("catalog: %w", err)
	}
	c.use(unit, r.Number+1)
	return true, nil
}

func encodeRecord(r Record) ([]byte, error) {
	var out bytes.Buffer
	// One goroutine, so that equal items give equal bytes.
	z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	enc := json.NewEncoder(z)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(catalogHeader{Catalog: catalogFormat, Items: len(r.Items), Source: r.Source}); err != nil {
		return nil, err
	}
	for _, item := range r.Items {
		if err := enc.Encode(item); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return append(out.Bytes(), digestFrame(out.Bytes())...), nil
}

// digestFrame is the end of a record: a frame that zstd skips (RFC 8878,
// section 3.1.2). Zstd's own checksum is of the content alone and leaves out
// bits of its headers.
func digestFrame(encoded []byte) []byte {
	digest := irgdata.DigestOf(encoded)
	frame := binary.LittleEndian.AppendUint32(nil, 0x184D2A50)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(len(digest)))
	return append(frame, digest[:]...)
}

// decodeRecord reads a record whole or gives an error.
func decodeRecord(encoded []byte) (source string, items []json.RawMessage, err error) {
	end := len(encoded) - len(digestFrame(nil))
	if end < 0 || !bytes.Equal(digestFrame(encoded[:end]), encoded[end:]) {
		return "", nil, errors.New("it has not the digest that it ends with")
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord))
	if err != nil {
		return "", nil, err
	}
	defer z.Close()
	text, err := z.DecodeAll(encoded, nil)
	if err != nil {
		return "", nil, err
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	var header catalogHeader
	if err := json.Unmarshal(first, &header); err != nil {
		return "", nil, fmt.Errorf("its header is damaged: %w", err)
	}
	if header.Catalog != catalogFormat {
		return "", nil, fmt.Errorf("it has format %d and this irgdata reads format %d", header.Catalog, catalogFormat)
	}
	items = []json.RawMessage{}
	for len(rest) > 0 {
		var item []byte
		item, rest, _ = bytes.Cut(rest, []byte("\n"))
		if !json.Valid(item) {
			return "", nil, fmt.Errorf("item %d is damaged", len(items))
		}
		items = append(items, item)
	}
	if len(items) != header.Items {
		return "", nil, fmt.Errorf("it has %d items, want %d", len(items), header.Items)
	}
	return header.Source, items, nil
}

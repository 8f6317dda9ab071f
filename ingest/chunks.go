package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/sourcegraph/conc/pool"

	"github.com/irgdata/irgdata"
)

// Rows of tables and files of folders are cut into units of a thousand or so.
// Where a unit ends is a matter of its last item alone, so that an item that is
// added or removed changes the unit that it is in and no other.
const (
	meanChunk  = 1024
	mostChunk  = 4096
	chunkBytes = 32 << 20
	// statters ask for the state of files at one time.
	statters = 32
)

// chunks cuts items into units.
type chunks struct {
	place string // where the items are, for people
	raws  []Raw
	ids   []irgdata.Digest
	bytes int
	count int // items of the units before
}

// add takes an item and reports whether the unit is full. The id is that of
// all that shapes the item, but for the files that it refers to.
func (c *chunks) add(r Raw, id irgdata.Digest, bytes int) (full bool) {
	c.raws, c.ids = append(c.raws, r), append(c.ids, id)
	c.bytes += bytes
	return binary.BigEndian.Uint64(id[:8])%meanChunk == 0 || len(c.raws) >= mostChunk || c.bytes >= chunkBytes
}

// unit gives the items since the last one.
func (c *chunks) unit(ctx context.Context) (Unit, error) {
	raws, ids := c.raws, c.ids
	c.raws, c.ids, c.bytes = nil, nil, 0
	first := c.count
	c.count += len(raws)
	states := make([]irgdata.Digest, len(raws))
	p := pool.New().WithMaxGoroutines(statters)
	for i, r := range raws {
		if r.File.FS != nil && r.File.version.IsZero() {
			p.Go(func() { states[i] = r.File.state() })
		}
	}
	p.Wait()
	version := irgdata.NewDigester("chunk/1").Uint(uint64(len(raws)))
	for i := range raws {
		version.Digest(ids[i]).Digest(states[i])
	}
	return Unit{
		Name: fmt.Sprintf("%s, items %d to %d", c.place, first+1, c.count), Version: version.Sum(),
		Items: func(yield func(Raw, error) bool) {
			for _, r := range raws {
				if !yield(r, nil) {
					return
				}
			}
		},
	}, ctx.Err()
}

// state changes when the file does. One that cannot be looked at has a state
// too: reading it will tell why.
func (f File) state() irgdata.Digest {
	info, err := fs.Stat(f.FS, f.Name)
	if err != nil {
		return irgdata.DigestOf([]byte("absent"))
	}
	return newListed(f.Name, info).version
}

// unitsOf cuts a sequence of identified items into units.
func unitsOf(ctx context.Context, place string, items iter.Seq2[identified, error], yield func(Unit, error) bool) error {
	c := chunks{place: place}
	flush := func() error {
		if len(c.raws) == 0 {
			return nil
		}
		unit, err := c.unit(ctx)
		if err == nil && !yield(unit, nil) {
			err = errStop
		}
		return err
	}
	for item, err := range items {
		if err != nil {
			return err
		}
		if c.add(item.raw, item.id, item.bytes) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// identified is an item, its identity, and about how many bytes it holds.
type identified struct {
	raw   Raw
	id    irgdata.Digest
	bytes int
}

// errStop says that the consumer broke off.
var errStop = errors.New("stop")

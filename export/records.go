package export

import (
	"context"
	"fmt"
	"iter"
	"os"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
)

// numbered is a record with the number of its row, counted over all shards.
type numbered struct {
	record
	number int
}

// records yields the trajectories of the shards that are wanted, which are told
// by their first row and how many they have. While one shard is read, the next
// is fetched and checked.
func (p *plan) records(ctx context.Context, wanted func(first, rows int) bool) iter.Seq2[numbered, error] {
	return func(yield func(numbered, error) bool) {
		var shards []manifests.Shard
		var firsts []int
		first := 0
		for _, s := range p.snapshot.Shards {
			if wanted(first, int(s.Rows)) {
				shards, firsts = append(shards, s), append(firsts, first)
			}
			first += int(s.Rows)
		}
		for i, file := range openAhead(ctx, p.store, shards, p.work) {
			n := 0
			for cells, err := range file.rows(ctx, recordColumns()) {
				r := numbered{number: firsts[i] + n}
				if err == nil {
					if r.record, err = readRecord(cells); err != nil {
						err = fmt.Errorf("read shard %s: row %d: %w", file.url, n, err)
					}
				}
				if !yield(r, err) || err != nil {
					return
				}
				n++
			}
		}
	}
}

// openShard is a shard's file, checked, or why there is none.
type openShard struct {
	url  string
	file *os.File
	err  error
}

// openAhead yields the shards in order, each with its place among them. A file is
// closed when the next is asked for. The last that is yielded may have an error.
func openAhead(ctx context.Context, store blob.Store, shards []manifests.Shard, work string) iter.Seq2[int, openShard] {
	return func(yield func(int, openShard) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var fetching conc.WaitGroup
		var next openShard // the fetching goroutine's until it is joined
		fetch := func(s manifests.Shard) {
			fetching.Go(func() {
				next.url = store.URL(s.Key)
				next.file, next.err = blob.Spool(ctx, store, s.Key, s.Size, s.Digest, work)
			})
		}
		defer func() {
			cancel()
			fetching.Wait()
			next.close()
		}()
		for i := range shards {
			if i == 0 {
				fetch(shards[0])
			}
			fetching.Wait()
			now := next
			next = openShard{}
			if now.err == nil && i+1 < len(shards) {
				fetch(shards[i+1])
			}
			more := yield(i, now)
			now.close()
			if !more || now.err != nil {
				return
			}
		}
	}
}

// rows yields the named columns of the shard's rows, or why there are none.
func (o openShard) rows(ctx context.Context, columns []string) iter.Seq2[parquet.Row, error] {
	return func(yield func(parquet.Row, error) bool) {
		if o.err != nil {
			yield(nil, o.err)
			return
		}
		reader, err := parquet.NewReader(o.file)
		if err != nil {
			yield(nil, fmt.Errorf("read shard %s: %w", o.url, err))
			return
		}
		n := 0
		for row, err := range reader.Rows(ctx, columns...) {
			if err != nil {
				err = fmt.Errorf("read shard %s: row %d: %w", o.url, n, err)
			}
			if !yield(row, err) || err != nil {
				return
			}
			n++
		}
	}
}

func (o openShard) close() {
	if o.file != nil {
		o.file.Close() // it was only read
	}
}

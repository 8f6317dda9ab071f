package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
)

// object streams what is written to it into a store, without knowing how much
// will come: Write → buffer → digest → pipe → Put. It is closed or discarded
// once; nothing is visible before close.
type object struct {
	dest   blob.Store
	path   string
	buffer *bufio.Writer
	sink   *digestSink
	pipe   *io.PipeWriter
	put    conc.WaitGroup // owns the goroutine of Put
	putErr error          // read after put.Wait
}

func newObject(ctx context.Context, dest blob.Store, path string) *object {
	read, write := io.Pipe()
	o := &object{dest: dest, path: path, sink: &digestSink{w: write, sum: sha256.New()}, pipe: write}
	o.buffer = bufio.NewWriterSize(o.sink, 256<<10)
	o.put.Go(func() {
		o.putErr = dest.Put(ctx, path, read, blob.PutOptions{})
		read.CloseWithError(errors.Join(o.putErr, io.ErrClosedPipe)) // wakes the writer
	})
	return o
}

// Write implements [io.Writer]. If the put failed, its error comes back here.
func (o *object) Write(p []byte) (int, error) {
	n, err := o.buffer.Write(p)
	if err != nil {
		err = fmt.Errorf("write %s: %w", o.dest.URL(o.path), err)
	}
	return n, err
}

// size is the number of bytes so far.
func (o *object) size() int64 { return o.sink.size + int64(o.buffer.Buffered()) }

// close makes the object visible.
func (o *object) close() (File, error) {
	if err := o.buffer.Flush(); err != nil {
		o.discard()
		return File{}, fmt.Errorf("write %s: %w", o.dest.URL(o.path), err)
	}
	o.pipe.Close()
	o.put.Wait()
	return File{Path: o.path, Digest: irgdata.Digest(o.sink.sum.Sum(nil)), Size: o.sink.size}, o.putErr
}

// errDiscarded breaks off the put of a file that will not be whole.
var errDiscarded = errors.New("the export was broken off")

// discard breaks off the put, so that the object never becomes visible.
func (o *object) discard() {
	o.pipe.CloseWithError(errDiscarded)
	o.put.Wait()
}

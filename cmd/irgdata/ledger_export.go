package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"

	"github.com/sourcegraph/conc"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
)

// writeWhole writes the file at path with write; it is visible whole or not at
// all. Its folder is made if need be.
func writeWhole(ctx context.Context, path string, write func(io.Writer) error) error {
	folder, err := blob.NewFile(filepath.Dir(path))
	if err != nil {
		return err
	}
	read, pipe := io.Pipe()
	var put conc.WaitGroup
	var putErr error
	put.Go(func() {
		putErr = folder.Put(ctx, filepath.Base(path), read, blob.PutOptions{})
		read.CloseWithError(errors.Join(putErr, io.ErrClosedPipe)) // wakes the writer
	})
	buffer := bufio.NewWriterSize(pipe, 256<<10)
	err = write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	pipe.CloseWithError(err)
	put.Wait()
	if putErr != nil { // it has the cause, be it write's
		return putErr
	}
	return err
}

// writeCallLines writes the calls as JSON lines, as segments have them, and
// returns their number.
func writeCallLines(ctx context.Context, w io.Writer, ledger *manifests.Ledger) (n int64, err error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for c, err := range ledger.Calls(ctx) {
		if err != nil {
			return n, err
		}
		if err := enc.Encode(c); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

var callColumns = []parquet.Column{
	{Name: "key", Kind: parquet.String}, {Name: "step", Kind: parquet.String}, {Name: "model", Kind: parquet.String},
	{Name: "text", Kind: parquet.String}, {Name: "image", Kind: parquet.String}, {Name: "image_size", Kind: parquet.Int64},
	{Name: "format", Kind: parquet.String}, {Name: "width", Kind: parquet.Int64}, {Name: "height", Kind: parquet.Int64},
	{Name: "rule", Kind: parquet.String}, {Name: "reason", Kind: parquet.String}, {Name: "finish", Kind: parquet.String},
	{Name: "seconds", Kind: parquet.Float64}, {Name: "tokens_in", Kind: parquet.Int64}, {Name: "tokens_out", Kind: parquet.Int64},
	{Name: "attempts", Kind: parquet.Int64}, {Name: "first", Kind: parquet.String}, {Name: "server", Kind: parquet.String},
	{Name: "pair", Kind: parquet.String}, {Name: "recipe", Kind: parquet.String}, {Name: "inputs", Kind: parquet.String},
}

// writeCallTable writes the calls as Parquet and returns their number.
func writeCallTable(ctx context.Context, w io.Writer, ledger *manifests.Ledger) (int64, error) {
	table, err := parquet.NewWriter(w, callColumns, parquet.WriterOptions{Rows: 50_000, Bytes: 32 << 20})
	if err != nil {
		return 0, err
	}
	for c, err := range ledger.Calls(ctx) {
		if err != nil {
			return 0, err
		}
		image, first, pair := "", "", ""
		if !c.Image.IsZero() {
			image = c.Image.Digest.String()
		}
		if !c.Asked.IsZero() {
			pair = c.Asked.Pair.String()
		}
		if len(c.First) > 0 {
			encoded, err := json.Marshal(c.First)
			if err != nil {
				return 0, err
			}
			first = string(encoded)
		}
		err := table.Write(parquet.Row{
			c.Key.String(), c.Step, c.Model, c.Text, image, c.Image.Size, string(c.Image.Format), int64(c.Image.Width), int64(c.Image.Height),
			c.Rule, c.Reason, c.Finish, c.Seconds, int64(c.TokensIn), int64(c.TokensOut), int64(c.Attempts), first, c.Server, pair, c.Asked.Recipe, c.Asked.Inputs,
		})
		if err != nil {
			return 0, err
		}
	}
	return table.Rows(), table.Close()
}

package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/zstd"
)

// fileWriter writes the frame of a file: its ends, and row groups of columns of
// pages. It stands in for the library's own, which makes an encoder of 20 MB for
// each page that it compresses, and takes no pages that are compressed.
type fileWriter struct {
	sink       *sink
	properties *parquet.WriterProperties
	metadata   *metadata.FileMetaDataBuilder
	zstd       *zstd.Encoder
	rows       int64
	groups     int
}

const (
	magic     = "PAR1" // begins and ends a file
	createdBy = "irgdata"
)

// sink knows how much was written, and keeps the first error of its writer, for
// the [fileWriter] to look at, and takes all that follows without writing it. The
// library must not see the error: it forgets one that a good write follows.
type sink struct {
	w   io.Writer
	at  int64
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
	s.at += int64(len(p))
	return len(p), nil
}

// Tell is what the library asks of a sink.
func (s *sink) Tell() int64 { return s.at }

func newFileWriter(w io.Writer, columns []Column, options ...parquet.WriterProperty) (*fileWriter, error) {
	root, err := newSchema(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	keyValues, err := features(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	properties := parquet.NewWriterProperties(append(options, parquet.WithCreatedBy(createdBy))...)
	f := &fileWriter{
		sink: &sink{w: w}, properties: properties, zstd: encoder,
		metadata: metadata.NewFileMetadataBuilder(schema.NewSchema(root), properties, keyValues),
	}
	f.sink.Write([]byte(magic))
	if f.sink.err != nil {
		return nil, fmt.Errorf("parquet: write the header: %w", f.sink.err)
	}
	return f, nil
}

// groupWriter writes a row group, column by column.
type groupWriter struct {
	*fileWriter
	metadata *metadata.RowGroupMetaDataBuilder
	ordinal  int16
	written  int64
}

// group writes a row group of so many rows, of which write writes all columns.
func (f *fileWriter) group(rows int, write func(*groupWriter) error) error {
	err := f.guarded(rows, write)
	if f.sink.err != nil { // the cause of whatever followed
		err = f.sink.err
	}
	if err != nil {
		return fmt.Errorf("parquet: write row group %d: %w", f.groups, err)
	}
	f.rows += int64(rows)
	f.groups++
	return nil
}

func (f *fileWriter) guarded(rows int, write func(*groupWriter) error) (err error) {
	defer func() {
		if r := recover(); r != nil { // in the library
			err = fmt.Errorf("%v", r)
		}
	}()
	g := &groupWriter{fileWriter: f, metadata: f.metadata.AppendRowGroup()}
	if err := write(g); err != nil {
		return err
	}
	g.metadata.SetNumRows(rows)
	return g.metadata.Finish(g.written, int16(f.groups))
}

// pageWriter writes the pages of a column, and compresses those that are to be
// with the encoder of its file.
type pageWriter struct {
	file.PageWriter
	metadata *metadata.ColumnChunkMetaDataBuilder
	zstd     *zstd.Encoder
}

// column begins the next column.
func (g *groupWriter) column() (*pageWriter, error) {
	column := g.metadata.NextColumnChunk()
	codec := g.properties.CompressionFor(column.Descr().Path())
	pages, err := file.NewPageWriter(g.sink, codec, compress.DefaultCompressionLevel, column, int16(g.groups), g.ordinal, memory.DefaultAllocator, false, nil, nil)
	g.ordinal++
	return &pageWriter{pages, column, g.zstd}, err
}

// Compress implements [file.PageWriter]. What it returns lasts until it is called
// with the same buffer again.
func (p *pageWriter) Compress(buffer *bytes.Buffer, page []byte) []byte {
	buffer.Grow(len(page) + len(page)>>8 + 64)
	return p.zstd.EncodeAll(page, buffer.AvailableBuffer())
}

// close writes the footer.
func (f *fileWriter) close() error {
	footer, err := f.metadata.Finish()
	if err != nil {
		return fmt.Errorf("parquet: write the footer: %w", err)
	}
	n, err := footer.WriteTo(f.sink, nil)
	if err == nil {
		f.sink.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
		err = f.sink.err
	}
	if err != nil {
		return fmt.Errorf("parquet: write the footer: %w", err)
	}
	return nil
}

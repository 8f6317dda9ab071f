package parquet

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/huff0"
)

// Text is a cell of a [TextWriter], in parts.
type Text []Part

// Part is a part of a text: as it is, or compressed before.
type Part struct {
	Plain  []byte // UTF-8
	Packed Packed
}

// Size is the number of bytes of the text.
func (t Text) Size() int {
	n := 0
	for _, p := range t {
		n += len(p.Plain) + p.Packed.size
	}
	return n
}

// TextWriter writes a file of one column of texts, of which parts are compressed
// already. The same rows give the same bytes. It is used by one goroutine.
type TextWriter struct {
	sink       *countingSink
	properties *parquet.WriterProperties
	metadata   *metadata.FileMetaDataBuilder
	rows       int64
	groups     int

	page    []byte // the frame under way
	size    int    // of its text
	text    []byte // of it, what is not in a block yet
	scratch *huff0.Scratch
}

// countingSink knows how much was written to it.
type countingSink struct {
	stickySink
	at int64
}

func (c *countingSink) Write(p []byte) (int, error) {
	c.at += int64(len(p))
	return c.stickySink.Write(p)
}

// Tell is what the library asks of a sink.
func (c *countingSink) Tell() int64 { return c.at }

// NewTextWriter writes a file to w, which the caller closes after the writer.
func NewTextWriter(w io.Writer, column string) (*TextWriter, error) {
	columns := []Column{{Name: column, Kind: String}}
	root, err := newSchema(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	keyValues, err := features(columns)
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	properties := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false), parquet.WithCreatedBy(createdBy))
	t := &TextWriter{
		sink: &countingSink{stickySink: stickySink{w: w}}, properties: properties,
		metadata: metadata.NewFileMetadataBuilder(schema.NewSchema(root), properties, keyValues),
		scratch:  newScratch(),
	}
	t.sink.Write([]byte(magic))
	if t.sink.err != nil {
		return nil, fmt.Errorf("parquet: write the header: %w", t.sink.err)
	}
	return t, nil
}

// magic begins and ends a file.
const magic = "PAR1"

// pageBytes is the size at which a page ends, if it is not one text.
const pageBytes = 1 << 20

// WriteGroup writes a row group. Its texts must be below 2 GiB together.
func (t *TextWriter) WriteGroup(rows []Text) error {
	err := t.group(rows)
	if t.sink.err != nil { // the cause of whatever followed
		err = t.sink.err
	}
	if err != nil {
		return fmt.Errorf("parquet: write row group %d: %w", t.groups, err)
	}
	t.rows += int64(len(rows))
	t.groups++
	return nil
}

func (t *TextWriter) group(rows []Text) error {
	group := t.metadata.AppendRowGroup()
	pages, err := file.NewPageWriter(t.sink, compress.Codecs.Zstd, compress.DefaultCompressionLevel, group.NextColumnChunk(), int16(t.groups), 0, memory.DefaultAllocator, false, nil, nil)
	if err != nil {
		return err
	}
	written := int64(0)
	t.begin()
	of := 0 // rows of the page
	for i, row := range rows {
		t.add(row)
		of++
		if t.size < pageBytes && i < len(rows)-1 {
			continue
		}
		n, err := t.writePage(pages, of)
		if err != nil {
			return err
		}
		written += n
		of = 0
	}
	if err := pages.Close(false, false); err != nil {
		return err
	}
	group.SetNumRows(len(rows))
	return group.Finish(written, int16(t.groups))
}

func (t *TextWriter) begin() { t.page, t.size, t.text = beginFrame(t.page[:0]), 0, t.text[:0] }

// add adds a row to the page: the length of its text and the text.
func (t *TextWriter) add(row Text) {
	t.text = binary.LittleEndian.AppendUint32(t.text, uint32(row.Size()))
	for _, p := range row {
		t.text = append(t.text, p.Plain...)
		if p.Packed.size > 0 {
			t.page = append(appendBlocks(t.page, t.text, t.scratch), p.Packed.blocks...)
			t.text = t.text[:0]
		}
	}
	t.size += 4 + row.Size()
}

func (t *TextWriter) writePage(pages file.PageWriter, rows int) (int64, error) {
	t.page = endFrame(appendBlocks(t.page, t.text, t.scratch), t.size)
	page := file.NewDataPageV1(memory.NewBufferBytes(t.page), int32(rows), parquet.Encodings.Plain, parquet.Encodings.RLE, parquet.Encodings.RLE, int32(t.size))
	defer page.Release()
	n, err := pages.WriteDataPage(page)
	t.begin()
	return n, err
}

// Rows and RowGroups count what was written so far.
func (t *TextWriter) Rows() int64 { return t.rows }

// RowGroups counts the row groups.
func (t *TextWriter) RowGroups() int { return t.groups }

// Close writes the footer.
func (t *TextWriter) Close() error {
	footer, err := t.metadata.Finish()
	if err != nil {
		return fmt.Errorf("parquet: write the footer: %w", err)
	}
	n, err := footer.WriteTo(t.sink, nil)
	if err == nil {
		t.sink.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
		err = t.sink.err
	}
	if err != nil {
		return fmt.Errorf("parquet: write the footer: %w", err)
	}
	return nil
}

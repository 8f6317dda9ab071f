package parquet

import (
	"encoding/binary"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
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
	file *fileWriter

	page    []byte // the frame under way
	size    int    // of its text
	text    []byte // of it, what is not in a block yet
	scratch *huff0.Scratch
}

// NewTextWriter writes a file to w, which the caller closes after the writer.
func NewTextWriter(w io.Writer, column string) (*TextWriter, error) {
	f, err := newFileWriter(w, []Column{{Name: column, Kind: String}}, parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false))
	if err != nil {
		return nil, err
	}
	return &TextWriter{file: f, scratch: newScratch()}, nil
}

// pageBytes is the size at which a page ends, if it is not one text.
const pageBytes = 1 << 20

// WriteGroup writes a row group. Its texts must be below 2 GiB together.
func (t *TextWriter) WriteGroup(rows []Text) error {
	return t.file.group(len(rows), func(group *groupWriter) error { return t.writeRows(group, rows) })
}

func (t *TextWriter) writeRows(group *groupWriter, rows []Text) error {
	pages, err := group.column()
	if err != nil {
		return err
	}
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
		group.written += n
		of = 0
	}
	return pages.Close(false, false)
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
func (t *TextWriter) Rows() int64 { return t.file.rows }

// RowGroups counts the row groups.
func (t *TextWriter) RowGroups() int { return t.file.groups }

// Close writes the footer.
func (t *TextWriter) Close() error { return t.file.close() }

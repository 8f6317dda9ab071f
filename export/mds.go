package export

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// mdsBytes is the most bytes of a shard, MosaicML Streaming's own default.
const mdsBytes = 1 << 26

// mds is the format [MDS], MosaicML Streaming's: a folder for each mode and
// split with shards and an index.json. A shard begins with the number of its
// samples and where each begins (uint32, little-endian), and the JSON that tells
// the columns; a sample is the sizes of its columns, and the columns
// (streaming/base/format/mds/writer.py of mosaicml-streaming 0.13).
type mds struct {
	dest       blob.Store
	prompts    modes.Prompts
	work       string
	shardBytes int64
	lanes      lanes[mdsFile]
	configs    map[*lane[mdsFile]]mdsConfig // of all shards of a lane
}

// mdsFile is a shard under way: its samples lie in a nameless file, since their
// sizes come first.
type mdsFile struct {
	file   *os.File
	buffer *bufio.Writer
	size   int64
	ends   []uint32 // of the samples, from the first one's beginning
}

// mdsColumns describe the samples, by ascending name. Columns of no size of
// their own tell it with each sample.
type mdsColumns struct {
	Encodings []string `json:"column_encodings"`
	Names     []string `json:"column_names"`
	Sizes     []*int   `json:"column_sizes"`
}

// mdsConfig is the head of a shard, its keys sorted as Streaming's are.
type mdsConfig struct {
	mdsColumns
	Compression *string  `json:"compression"`
	Format      string   `json:"format"`
	Hashes      []string `json:"hashes"`
	SizeLimit   int      `json:"size_limit"`
	Version     int      `json:"version"`
}

// mdsShard is a shard in the index.
type mdsShard struct {
	mdsConfig
	RawData mdsData  `json:"raw_data"`
	Samples int64    `json:"samples"`
	ZipData *mdsData `json:"zip_data"`
}

type mdsData struct {
	Basename string            `json:"basename"`
	Bytes    int64             `json:"bytes"`
	Hashes   map[string]string `json:"hashes"`
}

func newMDS(dest blob.Store, o Options, there *whole) *mds {
	return &mds{
		dest: dest, prompts: o.Prompts, work: o.Work, shardBytes: cmp.Or(o.FileBytes, mdsBytes),
		lanes: lanes[mdsFile]{whole: there}, configs: map[*lane[mdsFile]]mdsConfig{},
	}
}

// mdsColumn is a column of a sample.
type mdsColumn struct {
	name, encoding string
	data           []byte
}

// mdsSample has its columns by ascending name.
type mdsSample []mdsColumn

// encode makes a sample of texts, a chat in JSON, and an image column for each
// image. Streaming's encoding "jpeg" stands for whatever Pillow opens.
func (f *mds) encode(_ context.Context, x example) (sample, error) {
	var s mdsSample
	c, err := newChat(x, f.prompts, func(ref irgdata.ImageRef, n int) (string, error) {
		name := fmt.Sprintf("image%d", n)
		s = append(s, mdsColumn{name, "jpeg", x.images[ref.Digest]})
		return name, nil
	})
	if err != nil {
		return nil, err
	}
	messages, err := line(c.Messages)
	if err != nil {
		return nil, err
	}
	s = append(s, mdsColumn{"messages", "json", messages})
	for name, text := range map[string]string{
		"id": c.ID, "prompt": c.Prompt, "source": c.Source, "key": c.Key, "license": c.License, "url": c.URL, "language": c.Language, "strategy": string(c.Strategy),
	} {
		s = append(s, mdsColumn{name, "str", []byte(text)})
	}
	slices.SortFunc(s, func(a, b mdsColumn) int { return cmp.Compare(a.name, b.name) })
	return s, nil
}

func (s mdsSample) columns() (c mdsColumns) {
	for _, column := range s {
		c.Names, c.Encodings, c.Sizes = append(c.Names, column.name), append(c.Encodings, column.encoding), append(c.Sizes, nil)
	}
	return c
}

// size is that of the sample in a shard.
func (s mdsSample) size() int64 {
	n := int64(4 * len(s))
	for _, column := range s {
		n += int64(len(column.data))
	}
	return n
}

func (f *mds) write(ctx context.Context, x example, made sample) error {
	l, s := f.lanes.of(x.mode.Name, x.split), made.(mdsSample)
	if _, ok := f.configs[l]; !ok { // a mode's examples have equal columns
		f.configs[l] = mdsConfig{mdsColumns: s.columns(), Format: "mds", Hashes: []string{}, SizeLimit: int(f.shardBytes), Version: 2}
	}
	if l.passes() {
		return nil
	}
	if l.open != nil && l.open.size+s.size()+mdsHeadBytes(len(l.open.ends)+1) > f.shardBytes {
		if err := f.end(ctx, l); err != nil {
			return err
		}
	}
	if l.open == nil {
		file, err := blob.TempFile(f.work)
		if err != nil {
			return fmt.Errorf("start a shard: %w", err)
		}
		l.open = &mdsFile{file: file, buffer: bufio.NewWriterSize(file, 256<<10)}
	}
	return l.open.add(s)
}

// mdsHeadBytes is about the size of what stands before the samples.
func mdsHeadBytes(samples int) int64 { return int64(4*(samples+2)) + 1<<10 }

// add writes a sample. A shard holds one at least, and less than 4 GiB.
func (m *mdsFile) add(s mdsSample) error {
	var sizes []byte
	for _, column := range s {
		sizes = binary.LittleEndian.AppendUint32(sizes, uint32(len(column.data)))
	}
	if m.size+s.size() > 1<<32-1-mdsBytes {
		return fmt.Errorf("an example of %d bytes has no place in a shard", s.size())
	}
	_, err := m.buffer.Write(sizes)
	for _, column := range s {
		if err == nil {
			_, err = m.buffer.Write(column.data)
		}
	}
	m.size += s.size()
	m.ends = append(m.ends, uint32(m.size))
	return err
}

// end writes the shard under way into the store.
func (f *mds) end(ctx context.Context, l *lane[mdsFile]) error {
	m := l.open
	defer f.close(l)
	head, err := json.Marshal(f.configs[l])
	if err != nil {
		return err
	}
	first := uint32(4 + 4*(len(m.ends)+1) + len(head))
	begin := binary.LittleEndian.AppendUint32(nil, uint32(len(m.ends)))
	begin = binary.LittleEndian.AppendUint32(begin, first)
	for _, end := range m.ends {
		begin = binary.LittleEndian.AppendUint32(begin, first+end)
	}
	if err := m.buffer.Flush(); err != nil {
		return err
	}
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	o := newObject(ctx, f.dest, fmt.Sprintf("%s/%s/shard.%05d.mds", l.Mode, l.Split, len(l.Files)))
	_, err = o.Write(append(begin, head...))
	if err == nil {
		_, err = io.Copy(o, m.file)
	}
	if err != nil {
		o.discard()
		return err
	}
	file, err := o.close()
	if err != nil {
		return err
	}
	file.Rows = int64(len(m.ends))
	return l.done(ctx, file)
}

func (f *mds) close(l *lane[mdsFile]) {
	if l.open != nil {
		l.open.file.Close() // nameless: nothing is kept
		l.open = nil
	}
}

func (f *mds) finish(ctx context.Context) ([]ModeFiles, error) {
	files, err := f.lanes.end(ctx, f.end)
	if err != nil {
		return nil, err
	}
	for _, l := range f.lanes.all {
		var shards []mdsShard
		for _, file := range l.Files {
			shards = append(shards, mdsShard{mdsConfig: f.configs[l], RawData: mdsData{path.Base(file.Path), file.Size, map[string]string{}}, Samples: file.Rows})
		}
		index, err := json.Marshal(map[string]any{"version": 2, "shards": shards})
		if err == nil {
			err = blob.PutBytes(ctx, f.dest, fmt.Sprintf("%s/%s/index.json", l.Mode, l.Split), index, blob.PutOptions{})
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

func (f *mds) discard() {
	for _, l := range f.lanes.all {
		f.close(l)
	}
}

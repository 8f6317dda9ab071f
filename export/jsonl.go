package export

import (
	"context"
	"fmt"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// jsonLines is the format [JSONL]: of each mode and split a file with an
// example a line, and the images beside them under their digests.
type jsonLines struct {
	dest    blob.Store
	prompts modes.Prompts
	images  *imageFiles
	lanes   lanes[textFile]
}

// textFile is a file of examples as text.
type textFile struct {
	object *object
	rows   int64
}

func newJSONL(dest blob.Store, o Options, there *whole) *jsonLines {
	return &jsonLines{dest: dest, prompts: o.Prompts, images: newImageFiles(dest, there), lanes: lanes[textFile]{whole: there}}
}

func (j *jsonLines) encode(ctx context.Context, x example) (sample, error) {
	return chatJSON(x, j.prompts, func(ref irgdata.ImageRef, _ int) (string, error) { return j.images.put(ctx, x, ref) })
}

func (j *jsonLines) write(ctx context.Context, x example, s sample) error {
	l := j.lanes.of(x.mode.Name, x.split)
	if l.passes() {
		return nil
	}
	if l.open == nil {
		l.open = &textFile{object: newObject(ctx, j.dest, fmt.Sprintf("%s/%s.jsonl", l.Mode, l.Split))}
	}
	l.open.rows++
	_, err := l.open.object.Write(append(s.([]byte), '\n'))
	return err
}

func endText(ctx context.Context, l *lane[textFile]) error {
	f := l.open
	l.open = nil
	file, err := f.object.close()
	if err != nil {
		return fmt.Errorf("mode %s: %w", l.Mode, err)
	}
	file.Rows = f.rows
	return l.done(ctx, file)
}

func (j *jsonLines) finish(ctx context.Context) ([]ModeFiles, error) {
	if err := j.images.finish(ctx); err != nil {
		return nil, err
	}
	return j.lanes.end(ctx, endText)
}

func (j *jsonLines) discard() { j.lanes.discard(func(f *textFile) { f.object.discard() }) }

package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// llava is the format [LLaVA]: of the understanding modes, which vision language
// models can be trained on, ShareGPT's conversations with images, and a
// dataset_info.json, as LLaMA-Factory reads them. The modes that paint have no
// place in it.
type llava struct {
	dest    blob.Store
	prompts modes.Prompts
	images  *imageFiles
	lanes   lanes[textFile]
}

// imageMark stands in a text for the next image.
const imageMark = "<image>"

// mediaMarks are what LLaMA-Factory and ms-swift count in texts: a mark without
// its image, video or audio ends a training of LLaMA-Factory. An example of
// which a text holds one by itself is left out.
var mediaMarks = []string{imageMark, "<video>", "<audio>"}

func newLLaVA(dest blob.Store, o Options, there *whole) *llava {
	return &llava{dest: dest, prompts: o.Prompts, images: newImageFiles(dest, there), lanes: lanes[textFile]{whole: there}}
}

// shareGPT is an example in the form of LLaVA and ShareGPT.
type shareGPT struct {
	ID            string         `json:"id"`
	Images        []string       `json:"images"`
	Conversations []shareGPTTurn `json:"conversations"`
}

type shareGPTTurn struct {
	From  string `json:"from"`
	Value string `json:"value"`
}

var shareGPTRoles = map[modes.Speaker]string{modes.System: "system", modes.User: "human", modes.Assistant: "gpt"}

func (f *llava) encode(ctx context.Context, x example) (sample, error) {
	if !x.mode.Understanding() {
		return nil, nil
	}
	messages, err := x.mode.Messages(x.trajectory, f.prompts)
	if err != nil {
		return nil, err
	}
	made := shareGPT{ID: x.trajectory.Pair.ID.String()}
	var shown []irgdata.ImageRef
	for _, m := range messages {
		var texts, marks []string
		for _, part := range m.Parts {
			if part.Image.IsZero() {
				texts = append(texts, part.Text)
				continue
			}
			shown, marks = append(shown, part.Image), append(marks, imageMark)
		}
		text := strings.Join(texts, "\n")
		if slices.ContainsFunc(mediaMarks, func(mark string) bool { return strings.Contains(text, mark) }) {
			return nil, nil
		}
		made.Conversations = append(made.Conversations, shareGPTTurn{shareGPTRoles[m.Role], strings.Join(append(marks, text), "\n")})
	}
	for _, ref := range shown {
		path, err := f.images.put(ctx, x, ref)
		if err != nil {
			return nil, err
		}
		made.Images = append(made.Images, path)
	}
	return line(made)
}

func (f *llava) write(ctx context.Context, x example, s sample) error {
	if !x.mode.Understanding() {
		return nil
	}
	l := f.lanes.of(x.mode.Name, x.split)
	text, ok := s.([]byte)
	if !ok {
		l.LeftOut++
		return nil
	}
	if l.passes() {
		return nil
	}
	separator := ",\n"
	if l.open == nil {
		separator = "[\n"
		l.open = &textFile{object: newObject(ctx, f.dest, fmt.Sprintf("%s_%s.json", l.Mode, l.Split))}
	}
	l.open.rows++
	_, err := l.open.object.Write(append([]byte(separator), text...))
	return err
}

func (f *llava) finish(ctx context.Context) ([]ModeFiles, error) {
	if err := f.images.finish(ctx); err != nil {
		return nil, err
	}
	files, err := f.lanes.end(ctx, func(ctx context.Context, l *lane[textFile]) error {
		if _, err := l.open.object.Write([]byte("\n]\n")); err != nil {
			return err
		}
		return endText(ctx, l)
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		err := fmt.Errorf("nothing is selected of the modes that teach to read images: want one of %s", strings.Join(understanding(), ", "))
		return nil, errors.Join(err, f.dest.Delete(ctx, progressName)) // there is nothing to go on with
	}
	info := map[string]any{}
	for _, l := range files {
		for _, file := range l.Files {
			info[datasetName+"_"+l.Mode+"_"+string(l.Split)] = map[string]any{
				"file_name": file.Path, "formatting": "sharegpt",
				"columns": map[string]string{"messages": "conversations", "images": "images"},
			}
		}
	}
	text, err := indented(info)
	if err != nil {
		return nil, err
	}
	return files, blob.PutBytes(ctx, f.dest, "dataset_info.json", text, blob.PutOptions{})
}

func understanding() (names []string) {
	for _, m := range modes.All() {
		if m.Understanding() {
			names = append(names, m.Name)
		}
	}
	return names
}

func (f *llava) discard() { f.lanes.discard(func(t *textFile) { t.object.discard() }) }

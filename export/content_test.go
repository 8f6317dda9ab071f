package export_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
)

// part is a text or an image of a row, as a reader meets it.
type part struct {
	Role, Text     string
	Image          irgdata.Digest // zero of a text
	Loss, VAE, ViT bool
}

// wantedTrajectories are those of a snapshot of n items that serve the mode, in
// order.
func wantedTrajectories(t *testing.T, n int, mode string) (all []irgdata.Trajectory) {
	t.Helper()
	pictures := images.NewStore(newStore(t))
	for i := range n {
		if i%5 == 4 || mode == lostMode && i%7 == 0 {
			continue
		}
		it, err := item(t.Context(), i, pictures)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, it.Value.Trajectory)
	}
	return all
}

// conversationParts are the parts of a row for the official trainer.
func conversationParts(m modes.Mode, tr irgdata.Trajectory) (parts []part) {
	for _, p := range m.Layout {
		x := part{Role: string(p.Speaker), Loss: p.Loss, VAE: p.VAE, ViT: p.ViT}
		switch {
		case p.Template != "":
			x.Text = modes.DefaultPrompts().Get(p.Template).Render(tr.Pair.Prompt)
		case p.IsImage():
			x.Image = tr.Slots[p.Slot].Image.Digest
		default:
			x.Text = tr.Slots[p.Slot].Text
		}
		parts = append(parts, x)
	}
	return parts
}

// readConversation reads a row for the official trainer.
func readConversation(t *testing.T, text string) (parts []part) {
	t.Helper()
	var turns []struct {
		Role    string
		Content json.RawMessage
		Loss    bool `json:"need_loss"`
	}
	if err := json.Unmarshal([]byte(text), &turns); err != nil {
		t.Fatal(err)
	}
	for _, turn := range turns {
		if turn.Role == "user" {
			x := part{Role: turn.Role, Loss: turn.Loss}
			if err := json.Unmarshal(turn.Content, &x.Text); err != nil {
				t.Fatal(err)
			}
			parts = append(parts, x)
			continue
		}
		var content []struct {
			Type, Content string
			Loss          bool `json:"need_loss"`
			VAE           bool `json:"need_vae"`
			ViT           bool `json:"need_vit"`
		}
		if err := json.Unmarshal(turn.Content, &content); err != nil {
			t.Fatal(err)
		}
		for _, c := range content {
			x := part{Role: turn.Role, Loss: c.Loss, VAE: c.VAE, ViT: c.ViT}
			switch c.Type {
			case "text":
				x.Text = c.Content
			case "image":
				encoded, err := base64.StdEncoding.Strict().DecodeString(c.Content)
				if err != nil {
					t.Fatal(err)
				}
				x.Image = irgdata.DigestOf(encoded)
			default:
				t.Errorf("a part is of type %q", c.Type)
			}
			parts = append(parts, x)
		}
	}
	return parts
}

// chatParts are the parts of a row in Hugging Face's form.
func chatParts(t *testing.T, m modes.Mode, tr irgdata.Trajectory) (parts []part) {
	t.Helper()
	messages, err := m.Messages(tr, modes.DefaultPrompts())
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range messages {
		for _, p := range message.Parts {
			parts = append(parts, part{string(message.Role), p.Text, p.Image.Digest, p.Loss, p.VAE, p.ViT})
		}
	}
	return parts
}

// readChats reads the rows of a file in Hugging Face's form: the parts of the
// messages, with the n-th image for the n-th part that is one.
func readChats(t *testing.T, dest *blob.File, f export.File) (rows [][]part) {
	t.Helper()
	encoded, err := os.ReadFile(dest.URL(f.Path))
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	const messages, content, picture = "messages.list.element.", "messages.list.element.content.list.element.", "images.list.element."
	var roles [][]string
	for _, v := range leaf(t, r, messages+"role") {
		if v.repetition == 0 {
			roles = append(roles, nil)
		}
		roles[len(roles)-1] = append(roles[len(roles)-1], v.value.(string))
	}
	var digests [][]irgdata.Digest
	names := leaf(t, r, picture+"path")
	for i, v := range leaf(t, r, picture+"bytes") {
		if v.repetition == 0 {
			digests = append(digests, nil)
		}
		if v.value == nil {
			continue // a row without images
		}
		digest := irgdata.DigestOf([]byte(v.value.(string)))
		if name, _, _ := strings.Cut(names[i].value.(string), "."); name != digest.String() {
			t.Errorf("image %s has the name %s", digest.Short(), name)
		}
		digests[len(digests)-1] = append(digests[len(digests)-1], digest)
	}
	texts, loss, vae, vit := leaf(t, r, content+"text"), leaf(t, r, content+"need_loss"), leaf(t, r, content+"need_vae"), leaf(t, r, content+"need_vit")
	turn := 0
	for i, kind := range leaf(t, r, content+"type") {
		switch kind.repetition {
		case 0:
			turn, rows = 0, append(rows, nil)
		case 1:
			turn++
		}
		row := len(rows) - 1
		x := part{Role: roles[row][turn], Text: texts[i].value.(string), Loss: loss[i].value.(bool), VAE: vae[i].value.(bool), ViT: vit[i].value.(bool)}
		if kind.value == "image" {
			if len(digests[row]) == 0 {
				t.Fatalf("row %d has fewer images than parts that show one", row)
			}
			x.Image, digests[row] = digests[row][0], digests[row][1:]
		}
		rows[row] = append(rows[row], x)
	}
	for row, more := range digests {
		if len(more) > 0 {
			t.Errorf("row %d has %d images that no part shows", row, len(more))
		}
	}
	return rows
}

// element is a value below lists, nil where a list is empty. Repetition is the
// level of the list that it goes on with: 0 begins a row.
type element struct {
	value      any
	repetition int16
}

// leaf reads a column below lists with the Parquet library itself, since the
// project's reader reads no lists.
func leaf(t *testing.T, r *file.Reader, name string) (all []element) {
	t.Helper()
	schema := r.MetaData().Schema
	at := schema.ColumnIndexByName(name)
	for group := range r.NumRowGroups() {
		column, err := r.RowGroup(group).Column(at)
		if err != nil {
			t.Fatal(err)
		}
		const batch = 1024
		definitions, repetitions := make([]int16, batch), make([]int16, batch)
		for column.HasNext() {
			var levels int64
			var values []any
			switch column := column.(type) {
			case *file.ByteArrayColumnChunkReader:
				read := make([]parquet.ByteArray, batch)
				var n int
				levels, n, err = column.ReadBatch(batch, read, definitions, repetitions)
				for _, v := range read[:n] {
					values = append(values, string(v))
				}
			case *file.BooleanColumnChunkReader:
				read := make([]bool, batch)
				var n int
				levels, n, err = column.ReadBatch(batch, read, definitions, repetitions)
				for _, v := range read[:n] {
					values = append(values, v)
				}
			default:
				err = errors.New("it is of another type")
			}
			if err != nil {
				t.Fatalf("column %s: %v", name, err)
			}
			for i := range levels {
				e := element{repetition: repetitions[i]}
				if definitions[i] == schema.Column(at).MaxDefinitionLevel() {
					e.value, values = values[0], values[1:]
				}
				all = append(all, e)
			}
		}
	}
	return all
}

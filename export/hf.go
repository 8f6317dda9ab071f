package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/modes"
)

// hf is the format [HF]: a folder that `hf upload` makes a dataset repository
// of. Each mode is a configuration with its splits in Parquet; README.md is the
// dataset card, croissant.json the Croissant metadata.
type hf struct {
	dest      blob.Store
	prompts   modes.Prompts
	fileBytes int64
	lanes     lanes[parquetFile]
	card      *card
}

func newHF(ctx context.Context, p *plan, dest blob.Store, o Options, there *whole) (*hf, error) {
	account, err := manifests.LoadAccount(ctx, p.store, p.snapshot.Number)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return nil, err
	}
	return &hf{dest: dest, prompts: o.Prompts, fileBytes: cmp.Or(o.FileBytes, parquetFileBytes), lanes: lanes[parquetFile]{whole: there}, card: newCard(p, account)}, nil
}

// hfColumns are those of each configuration. messages and images have the form
// that TRL and the chat templates of transformers take: each content part of
// type image stands for the next of the images.
func hfColumns() []parquet.Column {
	text := func(name string) parquet.Column { return parquet.Column{Name: name, Kind: parquet.String} }
	flag := func(name string) parquet.Column { return parquet.Column{Name: name, Kind: parquet.Bool} }
	return []parquet.Column{
		text("id"), text("prompt"),
		{Name: "messages", Kind: parquet.List, Of: []parquet.Column{
			text("role"),
			{Name: "content", Kind: parquet.List, Of: []parquet.Column{text("type"), text("text"), flag("need_loss"), flag("need_vae"), flag("need_vit")}},
		}},
		{Name: "images", Kind: parquet.List, Of: []parquet.Column{{Kind: parquet.Picture}}},
		text("source"), text("key"), text("license"), text("url"), text("language"), text("strategy"),
	}
}

func (h *hf) encode(_ context.Context, x example) (sample, error) {
	messages, err := x.mode.Messages(x.trajectory, h.prompts)
	if err != nil {
		return nil, err
	}
	chat, images := []parquet.Row{}, []parquet.Row{}
	for _, m := range messages {
		var content []parquet.Row
		for _, part := range m.Parts {
			kind := "text"
			if !part.Image.IsZero() {
				kind = "image"
				images = append(images, parquet.Row{parquet.Image{Bytes: x.images[part.Image.Digest], Path: imageName(part.Image)}})
			}
			content = append(content, parquet.Row{kind, part.Text, part.Loss, part.VAE, part.ViT})
		}
		chat = append(chat, parquet.Row{string(m.Role), content})
	}
	pair := x.trajectory.Pair
	return parquet.Row{pair.ID.String(), pair.Prompt, chat, images, pair.Source, pair.Key, pair.License, pair.URL, pair.Language, string(x.trajectory.Strategy)}, nil
}

func (h *hf) write(ctx context.Context, x example, s sample) error {
	h.card.add(x)
	return writeRow(ctx, h.lanes.of(x.mode.Name, x.split), h.dest, hfColumns(), s.(parquet.Row), h.fileBytes)
}

func (h *hf) finish(ctx context.Context) ([]ModeFiles, error) {
	files, err := h.lanes.end(ctx, endParquet)
	if err != nil {
		return nil, err
	}
	for _, picture := range h.card.pictures {
		if err := blob.PutBytes(ctx, h.dest, picture.path, picture.encoded, blob.PutOptions{}); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct {
		name string
		text func() ([]byte, error)
	}{
		{"README.md", func() ([]byte, error) { return h.card.render(files) }},
		{"croissant.json", func() ([]byte, error) { return h.card.croissant(files) }},
	} {
		text, err := f.text()
		if err == nil {
			err = blob.PutBytes(ctx, h.dest, f.name, text, blob.PutOptions{})
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return files, nil
}

func (h *hf) discard() { h.lanes.discard(discardParquet) }

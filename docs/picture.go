//go:build ignore

// Picture draws docs/trajectories.png from the newest snapshot of a store:
// for the first rows that serve all six modes, the draft beside the improved
// image.
//
//	go run ./cmd/irgdata build && go run docs/picture.go irgl-out/store
package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"os"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
)

const (
	columns, rows = 4, 2
	side, gap     = 256, 8
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string) error {
	store, err := blob.NewFile(root)
	if err != nil {
		return err
	}
	s, err := manifests.Latest(ctx, store)
	if err != nil {
		return err
	}
	sheet := image.NewRGBA(image.Rect(0, 0, columns*(2*side+3*gap)+gap, rows*(side+2*gap)+gap))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	n := 0
	for _, shard := range s.Shards {
		file, err := os.Open(store.URL(shard.Key))
		if err != nil {
			return err
		}
		defer file.Close()
		reader, err := parquet.NewReader(file)
		if err != nil {
			return err
		}
		for row, err := range reader.Rows(ctx, "improving_full_learning", "prompt", "draft", "reference", "reflection") {
			if err != nil {
				return err
			}
			if !row[0].(bool) || n == columns*rows {
				continue
			}
			fmt.Printf("%d: %s\n%s\n\n", n+1, row[1], row[4])
			for i, cell := range row[2:4] {
				img, _, err := image.Decode(bytes.NewReader(cell.(parquet.Image).Bytes))
				if err != nil {
					return err
				}
				at := image.Pt(gap+n%columns*(2*side+3*gap)+i*(side+gap), gap+n/columns*(side+2*gap))
				draw.Draw(sheet, image.Rectangle{at, at.Add(image.Pt(side, side))}, img, image.Point{}, draw.Src)
			}
			n++
		}
	}
	out, err := os.Create("docs/trajectories.png")
	if err != nil {
		return err
	}
	defer out.Close()
	return png.Encode(out, sheet)
}

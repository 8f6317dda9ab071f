package export

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/modes"
)

// datasetName is the name of the data set in the training configuration.
const datasetName = "irgl"

// The names of what writeTraining writes.
const (
	datasetInfoName = "dataset_info.json"
	parquetInfoName = "parquet_info.json"
	stage1Name      = "train_stage1.yaml"
	stage2Name      = "train_stage2.yaml"
	readmeName      = "README.md"
)

func trainingNames() []string {
	return []string{datasetInfoName, parquetInfoName, stage1Name, stage2Name, readmeName}
}

// writeTraining writes the files that point the official training code at an
// export: dataset_info.json (for DATASET_INFO in SFT/data/dataset_info.py),
// parquet_info.json, and a configuration of each training stage (as
// SFT/data/configs/train_toy_dataset_stage1.yaml), and a README that says how to
// start.
func writeTraining(ctx context.Context, dest blob.Store, m Manifest, wanted []modes.Mode, root string) error {
	root = strings.TrimSuffix(root, "/")
	info := map[string]any{}
	parquetInfo := map[string]any{}
	files := map[string]int{}
	for _, mode := range m.Modes {
		info[mode.Mode] = map[string]any{datasetName: map[string]string{"data_dir": root + "/" + mode.Mode, "parquet_info_path": root + "/" + parquetInfoName}}
		files[mode.Mode] = len(mode.Files)
		for _, f := range mode.Files {
			parquetInfo[root+"/"+f.Path] = map[string]int{"num_row_groups": f.RowGroups}
		}
	}
	var stage1, stage2 strings.Builder
	for _, mode := range wanted {
		entry := trainingEntry(mode, files[mode.Name])
		stage1.WriteString(entry)
		if mode.Stage2 {
			stage2.WriteString(entry)
		}
	}
	for _, f := range []struct {
		name string
		text func() ([]byte, error)
	}{
		{datasetInfoName, func() ([]byte, error) { return indented(info) }},
		{parquetInfoName, func() ([]byte, error) { return indented(parquetInfo) }},
		{stage1Name, func() ([]byte, error) { return []byte(stage1.String()), nil }},
		{stage2Name, func() ([]byte, error) { return []byte(stage2.String()), nil }},
		{readmeName, func() ([]byte, error) { return readme(m, root, stage2.Len() > 0) }},
	} {
		text, err := f.text()
		if err == nil && len(text) > 0 {
			err = blob.PutBytes(ctx, dest, f.name, text, blob.PutOptions{})
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	return nil
}

//go:embed readme.md
var readmeText string

// readme says how to train on the export.
func readme(m Manifest, root string, stage2 bool) ([]byte, error) {
	t, err := template.New(readmeName).Parse(readmeText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		Manifest
		Root           string
		Remote, Stage2 bool
	}{m, root, strings.Contains(root, "://"), stage2})
	return out.Bytes(), err
}

func indented(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return out.Bytes(), err
}

// trainingEntry is a mode's part of a stage's configuration, with the image
// transforms of the paper. num_used_data counts files.
func trainingEntry(m modes.Mode, files int) string {
	return fmt.Sprintf(`%s:
  dataset_names:
    - %s
  image_transform_args:
    image_stride: 16
    max_image_size: 1024
    min_image_size: 512
  vit_image_transform_args:
    image_stride: 14
    max_image_size: 980
    min_image_size: 378
  is_mandatory: %t
  num_used_data:
    - %d
  weight: %.1f

`, m.Name, datasetName, m.Mandatory, files, m.Weight)
}

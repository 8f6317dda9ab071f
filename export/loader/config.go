package loader

import (
	"encoding/json"
	"fmt"
	"path"

	"github.com/irgdata/irgdata/internal/config"
	"github.com/irgdata/irgdata/modes"
)

// Training is a dataset configuration of the official code
// (--dataset_config_file, SFT/data/configs): what it says of each mode.
type Training map[string]ModeTraining

// ModeTraining is a mode's entry.
type ModeTraining struct {
	Datasets  []string        `yaml:"dataset_names"`
	VAE       modes.Transform `yaml:"image_transform_args"`
	ViT       modes.Transform `yaml:"vit_image_transform_args"`
	Mandatory bool            `yaml:"is_mandatory"`
	Used      []int           `yaml:"num_used_data"` // files of each data set

	Weight float64 `yaml:"weight"`
	Resume bool    `yaml:"resume_data_status"` // does not matter here
}

// maxTraining is far more than a configuration has.
const maxTraining = 1 << 20

// ParseTraining reads the dataset configuration that lies in the named file.
func ParseTraining(file string, text []byte) (Training, error) {
	t := Training{}
	if _, err := config.Decode(file, text, &t); err != nil {
		return nil, fmt.Errorf("read a dataset configuration of the training code: %w", err)
	}
	for mode, m := range t {
		if len(m.Datasets) != 1 || len(m.Used) != 1 {
			return nil, fmt.Errorf("%s: mode %s has %d dataset_names and %d num_used_data: want one of each, the data set that is checked", file, mode, len(m.Datasets), len(m.Used))
		}
		if m.Used[0] < 0 || m.Used[0] > maxEntries {
			return nil, fmt.Errorf("%s: mode %s uses %d files: want a number of files", file, mode, m.Used[0])
		}
		for _, transform := range []modes.Transform{m.VAE, m.ViT} {
			if transform != (modes.Transform{}) && !transform.Valid() {
				return nil, fmt.Errorf("%s: mode %s transforms images by %+v: want sizes in pixels", file, mode, transform)
			}
		}
	}
	return t, nil
}

// of is the mode's entry, or what the paper's configuration says of it.
func (t Training) of(mode string) ModeTraining {
	m, ok := t[mode]
	if !ok {
		for _, known := range modes.All() {
			if known.Name == mode {
				m.Mandatory = known.Mandatory
			}
		}
	}
	if m.VAE == (modes.Transform{}) {
		m.VAE, _ = modes.PaperTransforms()
	}
	if m.ViT == (modes.Transform{}) {
		_, m.ViT = modes.PaperTransforms()
	}
	return m
}

// parseParquetInfo reads a parquet_info file: the row groups of each file, by
// folder and name, wherever the export lay when it was written.
func parseParquetInfo(text []byte) (map[string]int, error) {
	var byPath map[string]struct {
		Groups int `json:"num_row_groups"`
	}
	if err := json.Unmarshal(text, &byPath); err != nil {
		return nil, fmt.Errorf("it is no parquet_info: want {path: {\"num_row_groups\": n}}: %w", err)
	}
	groups := make(map[string]int, len(byPath))
	for p, info := range byPath {
		if info.Groups < 0 || info.Groups > maxEntries {
			return nil, fmt.Errorf("it gives %s %d row groups", p, info.Groups)
		}
		groups[path.Join(path.Base(path.Dir(p)), path.Base(p))] = info.Groups
	}
	return groups, nil
}

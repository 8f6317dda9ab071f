package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/export/loader"
	"github.com/irgdata/irgdata/internal/tokenizer"
)

// exitLost says that the trainer would not read all of an export, or fail on it.
const exitLost = 3

// checkFlags are those of `export check`.
type checkFlags struct {
	flags
	tokenizer string
	training  string
	seed      uint64
	decode    bool
	asJSON    bool
}

func exportCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check DIR|s3://bucket/prefix",
		Short: "Say what the official trainer would read of an export, and what not",
		Long: `Reads an export, of irgdata or of anybody, as the data loader of the official IRG
training code does, and says how many rows, images and tokens each mode's
readers get, and what is dropped, dealt to nobody, or read otherwise than it was
written, and what every pack of the training needs and these modes do not bring.
DIR holds a folder of Parquet files for each mode; it may also be such a
folder, or a parquet_info file. What the export says of itself is not trusted.

Exit codes: 0 all of it is read and can be trained on, 3 something is lost, or
lacks that every pack needs, 1 it could not be read, 2 the command line is wrong.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("want one export: irgdata export check DIR --ranks 8 --workers 8")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			o, err := f.options(c)
			if err != nil {
				return err
			}
			files, err := f.files(cmd, c, args[0])
			if err != nil {
				return err
			}
			r, err := loader.Check(cmd.Context(), files, o)
			if err != nil {
				return err
			}
			if f.asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				printCheck(cmd.OutOrStdout(), args[0], r)
			}
			switch {
			case err != nil:
			case !r.AllRead():
				err = &exitError{exitLost, errors.New("the trainer would not read all of the export as it was written")}
			case !r.Whole():
				err = &exitError{exitLost, errors.New("the trainer would read all of the export and fail, if it is trained on alone")}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file, for ranks, workers and s3 (default "+defaultConfig+" in this folder, if there is one)")
	cmd.Flags().IntVar(&f.ranks, "ranks", 0, "training processes (GPUs) that will read the export (default: as configured)")
	cmd.Flags().IntVar(&f.loaders, "workers", 0, "data loader workers of each (default: as configured)")
	cmd.Flags().IntVar(&f.maxTokens, "max-tokens", 0, "the trainer's --max_num_tokens_per_sample, 0 for no limit (default: as configured)")
	cmd.Flags().StringVar(&f.tokenizer, "tokenizer", "", "folder of the checkpoint's tokenizer (default: the base model's, as configured); without one the tokens of texts are not counted")
	cmd.Flags().StringVar(&f.training, "dataset-config", "", "the trainer's --dataset_config_file (default: train_stage1.yaml of the export, if there is one)")
	cmd.Flags().Uint64Var(&f.seed, "data-seed", 42, "the trainer's --data_seed")
	cmd.Flags().BoolVar(&f.decode, "decode", false, "decode every image to its end, to find damaged ones, which the trainer fills up with grey")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// paperTokens is the default of export.max_tokens: --max_num_tokens_per_sample in the official scripts
// (SFT/run/train_toy_dataset_stage1/run.sh).
const paperTokens = 32768

func (f *checkFlags) options(c Config) (loader.Options, error) {
	o := loader.Options{
		Ranks: c.Export.Ranks, Workers: c.Export.Workers, Seed: f.seed, Limit: c.Export.MaxTokens, Decode: f.decode, Jobs: c.workers(),
	}
	if err := o.Validate(); err != nil {
		return o, usage(err)
	}
	if f.training != "" {
		text, err := os.ReadFile(f.training)
		if err == nil {
			o.Training, err = loader.ParseTraining(f.training, text)
		}
		if err != nil {
			return o, usagef("--dataset-config: %w", err)
		}
	}
	var err error
	if f.tokenizer == "" {
		o.Tokenizer, err = c.tokenizer(c.Roles["base"])
		return o, err
	}
	if o.Tokenizer, err = tokenizer.Open(os.DirFS(f.tokenizer)); err != nil {
		return o, usagef("--tokenizer %s: %w", f.tokenizer, err)
	}
	return o, nil
}

// files opens the export that the argument names.
func (f *checkFlags) files(cmd *cobra.Command, c Config, at string) (loader.Files, error) {
	if strings.HasSuffix(at, ".json") { // a parquet_info lies beside the modes
		at = strings.TrimSuffix(at, path.Base(at))
		if at == "" {
			at = "."
		}
	}
	if strings.Contains(at, "://") {
		store, err := openBucket(cmd.Context(), at, c.S3)
		if err != nil {
			return nil, err
		}
		return loader.InStore(store, os.TempDir()), nil
	}
	info, err := os.Stat(at)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no folder")
	}
	if err != nil {
		return nil, usagef("%s: %w: want the folder of an export", at, err)
	}
	root, err := filepath.Abs(at)
	return loader.InFolder(root), err
}

func printCheck(w io.Writer, at string, r loader.Report) {
	fmt.Fprintf(w, "%s, read by %d ranks × %d workers\n\n", here(at), r.Ranks, r.Workers)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  mode\trows\tread\tdropped\tunread\timages\ttokens\tlongest\tstarved readers\n")
	for _, m := range r.Modes {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Mode, humanize.Comma(m.Rows.Rows), humanize.Comma(m.Read.Rows),
			dash(m.Dropped.Rows), dash(m.Unread.Rows), humanize.Comma(m.Read.Images), humanize.Comma(m.Read.Tokens), humanize.Comma(int64(m.Longest)), dash(int64(m.Starved)))
	}
	t.Flush()
	if !r.TextTokens {
		fmt.Fprintf(w, "\n  tokens are those of images alone: --tokenizer counts texts as well\n")
	}
	for _, m := range r.Modes {
		if m.Whole() {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", m.Mode)
		if m.Stops != "" {
			fmt.Fprintf(w, "  the training stops: %s\n", m.Stops)
		}
		if m.Starved > 0 {
			fmt.Fprintf(w, "  %s with nothing to read: the training waits for them for ever\n", plural(int64(m.Starved), "reader"))
		}
		for _, f := range m.Findings {
			fmt.Fprintf(w, "  %s: %s, first in %s: %s\n", f.Rule, affected(f), here(f.Where), f.Detail)
		}
	}
	if len(r.Lacks) > 0 {
		fmt.Fprintf(w, "\npacks\n")
	}
	for _, l := range r.Lacks {
		fmt.Fprintf(w, "  %s: %s\n", l.Rule, l.Detail)
	}
	if r.AllRead() {
		fmt.Fprintf(w, "\nAll of it is read, by every reader.\n")
	}
}

// affected says what a finding is about.
func affected(f loader.Tally) string {
	var what []string
	for _, n := range []struct {
		n    int64
		noun string
	}{{f.Files, "file"}, {f.Rows, "row"}, {f.Texts, "text"}, {f.Images, "image"}, {f.Parts, "part"}} {
		if n.n > 0 {
			what = append(what, plural(n.n, n.noun))
		}
	}
	if f.Read {
		return strings.Join(what, ", ") + " trained on, and not as written"
	}
	return strings.Join(what, ", ") + " lost"
}

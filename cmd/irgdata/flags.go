package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/modes"
)

// flags are those that several commands share. A flag that was given overrides
// the configuration file.
type flags struct {
	formats  []string
	where    string
	split    string
	stage    int
	shuffle  bool
	config   string
	store    string
	work     string
	strategy string
	modes    []string
	seed     uint64
	workers  int
	to       string
	ranks    int
	loaders  int
	limit    int
	sample   string

	imageFormat string
	quality     int
	maxSide     int
	maxTokens   int

	again  bool
	reread bool
}

func (f *flags) addStore(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file (default "+defaultConfig+" in this folder, if there is one)")
	cmd.Flags().StringVar(&f.store, "store", "", "where snapshots go: a folder or s3://bucket/prefix")
	cmd.Flags().StringVar(&f.work, "work", "", "local folder for the ledger and temporary files")
	cmd.Flags().IntVar(&f.workers, "jobs", 0, "images and rows worked on at one time (default: as many as there are processors)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails for unknown flags alone
}

func (f *flags) addBuild(cmd *cobra.Command) {
	f.addStore(cmd)
	cmd.Flags().StringVar(&f.strategy, "strategy", "", "where improved images come from: distill or self")
	cmd.Flags().StringSliceVar(&f.modes, "modes", nil, "learning modes, comma-separated (default: all six)")
	complete(cmd, "strategy", string(irgdata.Distill), string(irgdata.Self))
	complete(cmd, "modes", modes.Names()...)
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "preview: read at most this many items")
	cmd.Flags().StringVar(&f.sample, "sample", "", "preview: read this part of the items, drawn evenly (1% or 0.01)")
}

// complete tells the shell the values that a flag takes.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags alone
}

// addAgain adds the flags that look again at what is known.
func (f *flags) addAgain(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.reread, "reread", false, "read all sources again, also files whose names, sizes and times are what they were")
	cmd.Flags().BoolVar(&f.again, "retry-downloads", false, "ask again for every image that could not be downloaded, also those that were refused for good")
}

func (f *flags) addExport(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.to, "to", "", "where exports go: a folder or s3://bucket/prefix")
	cmd.Flags().StringSliceVar(&f.formats, "format", nil, "formats, comma-separated: "+formatNames())
	cmd.Flags().IntVar(&f.ranks, "ranks", 0, "irg: training processes (GPUs) that will read the export")
	cmd.Flags().IntVar(&f.loaders, "workers", 0, "irg: data loader workers of each")
	cmd.Flags().IntVar(&f.maxTokens, "max-tokens", 0, "irg: the trainer's --max_num_tokens_per_sample, 0 for no limit: longer rows are refused")
	cmd.Flags().StringVar(&f.imageFormat, "image-format", "", "irg: encode images anew that are not jpeg or png")
	cmd.Flags().IntVar(&f.quality, "quality", 0, "irg: with --image-format jpeg, encode all images anew in this quality, 1 to 100")
	cmd.Flags().IntVar(&f.maxSide, "max-side", 0, "irg: scale down images whose longest side has more pixels")
}

// checkFormats refuses flags of addExport that no wanted format takes.
func (f *flags) checkFormats(cmd *cobra.Command, c Config) error {
	if slices.Contains(c.Export.Formats, export.IRG) || cmd.Flags().Lookup("format") == nil {
		return nil // `export check` is for irg alone
	}
	for _, name := range []string{"ranks", "workers", "max-tokens", "image-format", "quality", "max-side"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for the format irg alone, and the formats wanted are %v: leave the flag out, or add irg with --format", name, c.Export.Formats)
		}
	}
	return nil
}

// addSelection adds the flags that choose among the examples of a snapshot.
func (f *flags) addSelection(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.where, "where", "", "export trajectories of which this is true, such as 'source == \"photos\" && improved_difference > 10'")
	cmd.Flags().StringVar(&f.split, "split", "", "export one split alone: train or validation")
	cmd.Flags().IntVar(&f.stage, "stage", 0, "export the modes of this training stage: 1 or 2")
	cmd.Flags().BoolVar(&f.shuffle, "shuffle", false, "shuffle the examples over all shards, by export.seed")
}

// formatNames lists the formats.
func formatNames() string {
	var names []string
	for _, f := range export.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// load reads the configuration and puts the given flags over it. Paths of
// flags are those of this process, not of the file.
func (f *flags) load(cmd *cobra.Command) (Config, error) {
	c, err := loadConfig(f.config)
	if err != nil {
		return c, err
	}
	given := cmd.Flags().Changed
	if given("store") {
		c.Store = f.here(f.store, &c)
	}
	if given("work") {
		c.Work = f.here(f.work, &c)
	}
	if given("to") {
		c.Export.To = f.here(f.to, &c)
	}
	if given("strategy") {
		c.Strategy = irgdata.Strategy(f.strategy)
	}
	if given("modes") {
		c.Modes = f.modes
	}
	if given("seed") {
		c.Seed = f.seed
	}
	if given("jobs") {
		c.Workers = f.workers
	}
	if given("ranks") {
		c.Export.Ranks = f.ranks
	}
	if given("workers") {
		c.Export.Workers = f.loaders
	}
	if given("format") {
		c.Export.Formats = nil
		for _, name := range f.formats {
			c.Export.Formats = append(c.Export.Formats, export.Format(name))
		}
	}
	if given("where") {
		c.Export.Where = f.where
	}
	if given("split") {
		c.Export.Split = export.Split(f.split)
	}
	if given("stage") {
		c.Export.Stage = f.stage
	}
	if given("shuffle") {
		c.Export.Shuffle = f.shuffle
	}
	if given("max-tokens") {
		c.Export.MaxTokens = f.maxTokens
	}
	if given("image-format") {
		c.Export.Image.Format = f.imageFormat
	}
	if given("quality") {
		c.Export.Image.Quality = f.quality
	}
	if given("max-side") {
		c.Export.Image.MaxSide = f.maxSide
	}
	if given("limit") {
		if f.limit < 1 {
			return c, usagef("--limit %d: want a number of items, at least 1", f.limit)
		}
		c.limit = f.limit
	}
	if given("sample") {
		if c.sample, err = parsePart(f.sample); err != nil {
			return c, err
		}
	}
	c.retryDownloads, c.reread = f.again, f.reread
	if c.preview() && !given("ranks") && !given("workers") {
		c.Export.Ranks, c.Export.Workers = 1, 1 // a few rows do for one reader
	}
	if err := f.checkFormats(cmd, c); err != nil {
		return c, err
	}
	document := c.document
	c.document = nil // the flags' values have no line in the file
	err = c.validate()
	c.document = document
	return c, err
}

// preview reports whether only a part of the items is read.
func (c Config) preview() bool { return c.limit > 0 || c.sample > 0 }

// here makes a path of the command line absolute where the configuration's
// paths begin elsewhere.
func (f *flags) here(path string, c *Config) string {
	if strings.Contains(path, "://") || c.dir == "." {
		return path
	}
	return absolute(path)
}

// parsePart reads "1%" or "0.01".
func parsePart(text string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	part, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		part /= 100
	}
	if err != nil || !(part > 0 && part <= 1) {
		return 0, usagef("--sample %q: want a part of the items such as 1%% or 0.01", text)
	}
	return part, nil
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/filter"
	"github.com/irgdata/irgdata/ingest"
	"github.com/irgdata/irgdata/internal/benchmarks"
	"github.com/irgdata/irgdata/internal/config"
	"github.com/irgdata/irgdata/internal/fetch"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/chat"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/scorer"
	"github.com/irgdata/irgdata/runtime/worker"
)

// defaultConfig is the configuration file that is used where none is named.
const defaultConfig = "irgdata.yaml"

// Config is the configuration file. docs/configuration.md describes each key.
type Config struct {
	Sources    []Source          `yaml:"sources"`
	Store      string            `yaml:"store"`
	S3         S3                `yaml:"s3"`
	Work       string            `yaml:"work"`
	Strategy   irgdata.Strategy  `yaml:"strategy"`
	Modes      []string          `yaml:"modes"`
	Seed       uint64            `yaml:"seed"`
	Image      ImageSize         `yaml:"image"`
	Models     map[string]Model  `yaml:"models"`
	Roles      map[string]string `yaml:"roles"`
	Prompts    map[string]string `yaml:"prompts"`
	Ingest     Ingest            `yaml:"ingest"`
	Calls      Calls             `yaml:"calls"`
	Budget     Budget            `yaml:"budget"`
	Filter     filter.Config     `yaml:"filter"`
	Judge      Judge             `yaml:"judge"`
	Scorers    []Scorer          `yaml:"scorers"`
	Shards     Shards            `yaml:"shards"`
	Export     Export            `yaml:"export"`
	MaxRejects float64           `yaml:"max_rejects"`
	Workers    int               `yaml:"workers"`

	// dir is where relative paths begin: the folder of the file.
	dir string
	// document knows the lines of the keys; nil without a file.
	document *config.Document
	// limit and sample come from flags alone: a preview is no configuration.
	limit  int
	sample float64
	// retryDownloads asks again for each download that failed; by a flag too.
	retryDownloads bool
	// reread reads again what has not changed as far as can be told; by a flag too.
	reread bool
}

// Source is one source of pairs: what lies at Path, or the bundled sample.
type Source struct {
	Name    string      `yaml:"name"`
	Path    string      `yaml:"path,omitempty"`
	Kind    ingest.Kind `yaml:"kind,omitempty"`
	Bundled string      `yaml:"bundled,omitempty"`
	Columns Columns     `yaml:"columns,omitempty"`
	Images  string      `yaml:"images,omitempty"`
	License string      `yaml:"license,omitempty"`
	Limit   int         `yaml:"limit,omitempty"`
	Weight  float64     `yaml:"weight,omitempty"`
}

// Columns name the fields of a source's rows; empty ones are detected.
type Columns struct {
	Caption string `yaml:"caption,omitempty"`
	Image   string `yaml:"image,omitempty"`
	License string `yaml:"license,omitempty"`
	URL     string `yaml:"url,omitempty"`
}

// S3 says how buckets are reached.
type S3 struct {
	Endpoint  string `yaml:"endpoint"`
	Region    string `yaml:"region"`
	PathStyle bool   `yaml:"path_style"`
}

// ImageSize is that of painted images, in pixels.
type ImageSize struct {
	Width  int `yaml:"width"`
	Height int `yaml:"height"`
}

// Model is a model or the server that runs it.
type Model struct {
	Kind     string          `yaml:"kind"`
	URL      string          `yaml:"url,omitempty"`
	URLs     []string        `yaml:"urls,omitempty"`
	Serve    Serve           `yaml:"serve,omitempty"`
	Model    string          `yaml:"model,omitempty"`
	Revision string          `yaml:"revision,omitempty"`
	KeyEnv   string          `yaml:"key_env,omitempty"`
	Timeout  config.Duration `yaml:"timeout,omitempty"`
	Parallel int             `yaml:"parallel,omitempty"`
	Stages   int             `yaml:"stages,omitempty"`

	Tokenizer string  `yaml:"tokenizer,omitempty"`
	GPUs      float64 `yaml:"gpus,omitempty"`
	Price     Price   `yaml:"price,omitempty"`
}

// Price is what the calls of a model cost, in the user's currency.
type Price struct {
	PerCall       float64 `yaml:"per_call,omitempty"`
	PerMillionIn  float64 `yaml:"per_million_in,omitempty"`
	PerMillionOut float64 `yaml:"per_million_out,omitempty"`
	PerGPUHour    float64 `yaml:"per_gpu_hour,omitempty"`
}

// Budget bounds what the new calls of one run may use; 0 means no bound.
type Budget struct {
	MaxCalls    int     `yaml:"max_calls"`
	MaxGPUHours float64 `yaml:"max_gpu_hours"`
	MaxCost     float64 `yaml:"max_cost"`
}

// addresses are those of the model's servers, unless we start them.
func (m Model) addresses() []string {
	if m.URL != "" {
		return append([]string{m.URL}, m.URLs...)
	}
	return m.URLs
}

// Serve says how the model's servers are started on this machine.
type Serve struct {
	Command      []string        `yaml:"command,omitempty"`
	GPUs         []GPU           `yaml:"gpus,omitempty"`
	Env          []string        `yaml:"env,omitempty"`
	Ready        string          `yaml:"ready,omitempty"`
	Base         string          `yaml:"base,omitempty"`
	ReadyTimeout config.Duration `yaml:"ready_timeout,omitempty"`
	StopTimeout  config.Duration `yaml:"stop_timeout,omitempty"`
}

// base is the path below which a started server has its API.
func (m Model) base() string {
	switch {
	case m.Serve.Base != "":
		return strings.TrimSuffix(m.Serve.Base, "/")
	case m.Kind == kindWorker, m.Kind == kindScorer:
		return ""
	}
	return "/v1"
}

// gpusPerServer is the number of GPUs that the first server uses; all use as
// many.
func (s Serve) gpusPerServer() float64 {
	if len(s.GPUs) == 0 {
		return 1
	}
	return float64(1 + strings.Count(string(s.GPUs[0]), ","))
}

// GPU is the index of a GPU, or several for one server, such as "0,1".
type GPU string

// UnmarshalText takes a number as well as a text.
func (g *GPU) UnmarshalText(text []byte) error {
	*g = GPU(text)
	return nil
}

// The kinds of model.
const (
	kindScenes = "scenes"
	kindOpenAI = string(chat.OpenAI)
	kindOmni   = string(chat.Omni)
	kindImages = string(chat.Images)
	kindWorker = "worker"
	kindScorer = "scorer"
)

// Ingest says how items are loaded and what makes a pair of one.
type Ingest struct {
	Loaders      int         `yaml:"loaders"`
	DecodeMemory config.Size `yaml:"decode_memory"`
	Captions     Captions    `yaml:"captions"`
	Images       Images      `yaml:"images"`
	Duplicates   Duplicates  `yaml:"duplicates"`
	Benchmarks   Benchmarks  `yaml:"benchmarks"`
	Download     Download    `yaml:"download"`
}

// Benchmarks say which prompts must not be trained on, because models are
// evaluated on them.
type Benchmarks struct {
	Files       map[string]string `yaml:"files"` // lists of prompts, by benchmark
	GenEval     bool              `yaml:"geneval"`
	Containment float64           `yaml:"containment"`
}

// Captions bound the captions.
type Captions struct {
	MaxCharacters int `yaml:"max_characters"`
	MaxWords      int `yaml:"max_words"`
}

// Images bound the images.
type Images struct {
	MinSide      int             `yaml:"min_side"`
	MaxAspect    float64         `yaml:"max_aspect"`
	Reencode     ingest.Reencode `yaml:"reencode"`
	Quality      int             `yaml:"quality"`
	AnyExtension bool            `yaml:"any_extension"`
}

// Duplicates say which pairs are nearly the same.
type Duplicates struct {
	Images  int     `yaml:"images"`
	Prompts float64 `yaml:"prompts"`
}

// Download says how images are downloaded.
type Download struct {
	PerHost      int             `yaml:"per_host"`
	Attempts     int             `yaml:"attempts"`
	Timeout      config.Duration `yaml:"timeout"`
	MaxBytes     config.Size     `yaml:"max_bytes"`
	MaxRedirects int             `yaml:"max_redirects"`
	AllowPrivate bool            `yaml:"allow_private"`
	IgnoreNoAI   bool            `yaml:"ignore_noai"`
	UserAgent    string          `yaml:"user_agent"`
}

// Calls says how models are called.
type Calls struct {
	Workers  int             `yaml:"workers"`
	Window   int             `yaml:"window"`
	Attempts int             `yaml:"attempts"`
	Pause    config.Duration `yaml:"pause"`
	Patience config.Duration `yaml:"patience"`
	Hold     config.Duration `yaml:"hold"`
	Share    config.Duration `yaml:"share"`
}

// Shards shapes a snapshot's shards.
type Shards struct {
	Size         config.Size `yaml:"size"`
	RowGroup     config.Size `yaml:"row_group"`
	RowGroupRows int         `yaml:"row_group_rows"`
}

// Export says where the trainer's form goes, and for how many readers.
type Export struct {
	To        string              `yaml:"to"`
	Ranks     int                 `yaml:"ranks"`
	Workers   int                 `yaml:"workers"`
	MaxTokens int                 `yaml:"max_tokens"`
	Image     export.ImageOptions `yaml:"image"`

	Formats    []export.Format `yaml:"formats"`
	Where      string          `yaml:"where"`
	Stage      int             `yaml:"stage"`
	Split      export.Split    `yaml:"split"`
	Validation float64         `yaml:"validation"`
	Mix        []export.Share  `yaml:"mix"`
	Shuffle    bool            `yaml:"shuffle"`
	Seed       uint64          `yaml:"seed"`
}

// selection says which examples are exported.
func (e Export) selection() export.Selection {
	return export.Selection{Where: e.Where, Stage: e.Stage, Split: e.Split, Validation: e.Validation, Mix: e.Mix, Shuffle: e.Shuffle, Seed: e.Seed}
}

// newConfig returns the configuration of keys that a file leaves out.
func newConfig() Config {
	return Config{
		Store:    "irgl-out/store",
		Work:     "irgl-out/work",
		Strategy: irgdata.Distill,
		Seed:     1,
		Image:    ImageSize{Width: 256, Height: 256},
		Ingest: Ingest{
			Loaders: 32, DecodeMemory: 1 << 30,
			Captions:   Captions{MaxCharacters: ingest.DefaultMaxCharacters},
			Images:     Images{MinSide: 16, MaxAspect: 10, Reencode: ingest.ReencodeNever, Quality: 95},
			Duplicates: Duplicates{Images: ingest.DefaultImageDistance, Prompts: ingest.DefaultPromptSimilarity},
			Benchmarks: Benchmarks{Files: map[string]string{}, GenEval: true, Containment: benchmarks.DefaultContainment},
			Download:   Download{PerHost: 4, Attempts: 3, Timeout: config.Duration(30 * time.Second), MaxBytes: 64 << 20, MaxRedirects: 5, UserAgent: fetch.DefaultUserAgent},
		},
		Calls: Calls{
			Window: 64, Attempts: 5,
			Pause: config.Duration(time.Second), Patience: config.Duration(15 * time.Minute), Hold: config.Duration(5 * time.Minute), Share: config.Duration(30 * time.Second),
		},
		Filter:     filter.DefaultConfig(),
		Judge:      Judge{Questions: []string{}},
		Scorers:    []Scorer{},
		Shards:     Shards{Size: 500e6, RowGroup: 32 << 20, RowGroupRows: 100},
		Export:     Export{To: "irgl-out/export", Ranks: 8, Workers: 8, MaxTokens: paperTokens, Formats: []export.Format{export.IRG}, Validation: 0.01, Seed: 1},
		MaxRejects: 0.5,
	}
}

// loadConfig reads the named file, or the default one where there is one, or
// configures a run over the bundled sample.
func loadConfig(file string) (Config, error) {
	c := newConfig()
	named := file != ""
	if !named {
		file = defaultConfig
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		c.Sources = []Source{{Name: "sample", Bundled: "sample", License: "CC0-1.0"}}
		c.dir = "."
		return c.complete()
	case errors.Is(err, fs.ErrNotExist):
		return c, usagef("there is no configuration file %s: write one with `irgdata config init %s`", file, file)
	case err != nil:
		return c, usagef("read configuration: %v", err)
	}
	if c.document, err = config.Decode(file, text, &c); err != nil {
		return c, usage(err)
	}
	c.dir = filepath.Dir(file)
	return c.complete()
}

// complete fills in what depends on other keys, and checks all of them.
func (c Config) complete() (Config, error) {
	if len(c.Models) == 0 {
		c.Models = map[string]Model{scenes.Name: {Kind: kindScenes}}
	}
	if players := c.players(); len(players) == 1 {
		for _, name := range players {
			roles := map[string]string{}
			for _, role := range modes.Roles() {
				roles[string(role)] = name
			}
			maps.Copy(roles, c.Roles)
			c.Roles = roles
		}
	}
	c.nameSources()
	var key string
	var err error
	if c.Filter, key, err = c.Filter.Complete(); err != nil {
		return c, usage(c.document.Errorf("filter."+key, "%v", err))
	}
	return c, c.validate()
}

// players are the models that can play roles: all but scorers.
func (c Config) players() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Models)), func(name string) bool { return c.Models[name].Kind == kindScorer })
}

// nameSources names the sources that have no name by their paths. Names that
// are alike take in as many folders as tell them apart.
func (c Config) nameSources() {
	nameless := func(s Source) bool { return s.Name == "" }
	for parts := 1; slices.ContainsFunc(c.Sources, nameless); parts++ {
		taken := map[string]int{}
		for _, s := range c.Sources {
			if nameless(s) {
				taken[s.defaultName(parts)]++
			} else {
				taken[s.Name]++
			}
		}
		for i, s := range c.Sources {
			if name := s.defaultName(parts); nameless(s) && (taken[name] == 1 || name == s.defaultName(parts+1)) {
				c.Sources[i].Name = name
			}
		}
	}
}

// defaultName is the last parts of the source's path that are no pattern, the
// last one without its extension.
func (s Source) defaultName(parts int) string {
	if s.Bundled != "" {
		return s.Bundled
	}
	var name []string
	for _, part := range slices.Backward(strings.Split(strings.TrimSuffix(filepath.ToSlash(s.Path), "/"), "/")) {
		if len(name) == 0 {
			part, _, _ = strings.Cut(part, ".")
		}
		if part == "" || part == "." || strings.ContainsAny(part, "*?[{:") {
			continue
		}
		if name = append(name, part); len(name) == parts {
			break
		}
	}
	if len(name) == 0 {
		return "pairs"
	}
	slices.Reverse(name)
	return strings.Join(name, "/")
}

// paintsReferences reports whether some pairs come without an image.
func (c Config) paintsReferences() bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool {
		return s.Kind == ingest.KindPrompts || s.Kind == "" && strings.Contains(filepath.Base(s.Path), ".txt")
	})
}

// validate reports the first mistake, at its line of the file.
func (c Config) validate() error {
	wrong := func(path, format string, args ...any) error {
		return usage(c.document.Errorf(path, format, args...))
	}
	if err := c.validateAddresses(wrong); err != nil {
		return err
	}
	if err := c.validateSources(wrong); err != nil {
		return err
	}
	for _, place := range []struct{ key, value string }{{"store", c.Store}, {"export.to", c.Export.To}} {
		if place.value == "" {
			return wrong(place.key, "is empty: want a folder or s3://bucket/prefix")
		}
		if strings.Contains(place.value, "://") {
			if _, _, err := parseBucket(place.value); err != nil {
				return wrong(place.key, "%v", err)
			}
		}
	}
	if c.Work == "" || strings.Contains(c.Work, "://") {
		return wrong("work", "is %q: want a local folder", c.Work)
	}
	if c.Strategy != irgdata.Distill && c.Strategy != irgdata.Self {
		return wrong("strategy", "is %q: want %q or %q", c.Strategy, irgdata.Distill, irgdata.Self)
	}
	for i, name := range c.Modes {
		if !slices.Contains(modes.Names(), name) {
			return wrong(fmt.Sprintf("modes[%d]", i), "mode %q is unknown: want one of %s", name, strings.Join(modes.Names(), ", "))
		}
		if slices.Contains(c.Modes[:i], name) {
			return wrong(fmt.Sprintf("modes[%d]", i), "mode %q is listed twice", name)
		}
	}
	for _, side := range []struct {
		key   string
		value int
	}{{"width", c.Image.Width}, {"height", c.Image.Height}} {
		if side.value < 64 || side.value > 4096 || side.value%16 != 0 {
			return wrong("image."+side.key, "is %d: want a multiple of 16 between 64 and 4096, the stride of BAGEL's image tokens", side.value)
		}
	}
	if err := c.validateJudge(wrong); err != nil {
		return err
	}
	if err := c.validateModels(wrong); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Prompts)) {
		if known := modes.DefaultPrompts().Names(); !slices.Contains(known, name) {
			return wrong("prompts."+name, "template %q is unknown: want one of %s", name, strings.Join(known, ", "))
		}
	}
	for _, number := range []struct {
		path        string
		value, most int64
	}{
		{"ingest.loaders", int64(c.Ingest.Loaders), 4096},
		{"ingest.decode_memory", c.Ingest.DecodeMemory.Int64(), 1 << 40},
		{"ingest.download.per_host", int64(c.Ingest.Download.PerHost), 1024},
		{"ingest.download.attempts", int64(c.Ingest.Download.Attempts), 100},
		{"ingest.download.timeout", int64(c.Ingest.Download.Timeout), int64(24 * time.Hour)},
		{"ingest.download.max_bytes", c.Ingest.Download.MaxBytes.Int64(), 4 << 30},
		{"ingest.download.max_redirects", int64(c.Ingest.Download.MaxRedirects), 100},
		{"calls.window", int64(c.Calls.Window), 1 << 20},
		{"calls.attempts", int64(c.Calls.Attempts), 100},
		{"calls.pause", int64(c.Calls.Pause), int64(time.Hour)},
		{"calls.patience", int64(c.Calls.Patience), int64(7 * 24 * time.Hour)},
		{"calls.hold", int64(c.Calls.Hold), int64(7 * 24 * time.Hour)},
		{"calls.share", int64(c.Calls.Share), int64(24 * time.Hour)},
		{"shards.size", c.Shards.Size.Int64(), 1 << 40},
		{"shards.row_group", c.Shards.RowGroup.Int64(), 1 << 30},
		{"shards.row_group_rows", int64(c.Shards.RowGroupRows), 1 << 20},
		{"export.ranks", int64(c.Export.Ranks), 1 << 16},
		{"export.workers", int64(c.Export.Workers), 1 << 10},
	} {
		if number.value < 1 || number.value > number.most {
			return wrong(number.path, "is out of range: want %s to %s", showNumber(number.path, 1), showNumber(number.path, number.most))
		}
	}
	if c.Export.MaxTokens < 0 || c.Export.MaxTokens > 1<<24 {
		return wrong("export.max_tokens", "is out of range: want 0 to %d", 1<<24)
	}
	if err := c.Export.Image.Validate(); err != nil {
		return wrong("export.image", "%v", err)
	}
	for i, format := range c.Export.Formats {
		switch path := fmt.Sprintf("export.formats[%d]", i); {
		case !slices.Contains(export.Formats(), format):
			return wrong(path, "format %q is unknown: want one of %v", format, export.Formats())
		case slices.Contains(c.Export.Formats[:i], format):
			return wrong(path, "format %q is listed twice", format)
		}
	}
	if len(c.Export.Formats) == 0 {
		return wrong("export.formats", "is empty: want one or more of %v", export.Formats())
	}
	if mistake := new(export.SelectionError); errors.As(c.Export.selection().Validate(), &mistake) {
		return wrong("export."+mistake.Key, "%v", mistake.Err)
	}
	if err := c.admission().Validate(); err != nil {
		return wrong("ingest", "%v", err)
	}
	if err := c.duplicates().Validate(); err != nil {
		return wrong("ingest.duplicates", "%v", err)
	}
	if err := (benchmarks.Options{Containment: c.Ingest.Benchmarks.Containment}).Validate(); err != nil {
		return wrong("ingest.benchmarks.containment", "%v", err)
	}
	if err := c.download().Validate(); err != nil {
		return wrong("ingest.download", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Filter.Select.Sources)) {
		if !slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Name == name }) {
			return wrong("filter.select.sources."+name, "there is no source %q: want one of those under `sources`", name)
		}
	}
	if !(c.MaxRejects >= 0 && c.MaxRejects <= 1) {
		return wrong("max_rejects", "is %v: want a part of all items between 0 and 1", c.MaxRejects)
	}
	if prices, err := c.prices(); err != nil {
		return wrong("models", "%v", err)
	} else if err := c.budget().Validate(prices); err != nil {
		return wrong("budget", "%v", err)
	}
	if c.Calls.Workers < 0 || c.Calls.Workers > 4096 {
		return wrong("calls.workers", "is %d: want 0 (as many as keep the models busy) to 4096", c.Calls.Workers)
	}
	if c.Workers < 0 || c.Workers > 1024 {
		return wrong("workers", "is %d: want 0 (as many as there are processors) to 1024", c.Workers)
	}
	return nil
}

// validateAddresses refuses addresses that hold keys: they would be in snapshots
// and in what is printed. Those of models are looked at with their other options.
func (c Config) validateAddresses(wrong func(path, format string, args ...any) error) error {
	const instead = "keys of buckets come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the profile that AWS_PROFILE names"
	type place struct{ key, value string }
	places := []place{{"store", c.Store}, {"export.to", c.Export.To}}
	for i, s := range c.Sources {
		path := fmt.Sprintf("sources[%d].", i)
		places = append(places, place{path + "path", s.Path}, place{path + "images", s.Images})
	}
	for _, place := range places {
		_, rest, _ := strings.Cut(place.value, "://")
		if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
			return wrong(place.key, "holds a user name or a password: take it out, %s", instead)
		}
	}
	u, err := url.Parse(c.S3.Endpoint)
	if c.S3.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		return wrong("s3.endpoint", "is not the bare address of a server, such as https://s3.example.org: want scheme, host and perhaps a path, and %s", instead)
	}
	return nil
}

// checkMix refuses shares of a source that the configuration does not have. It is
// for what goes on to a snapshot of these sources: one that is there may have
// others.
func (c Config) checkMix() error {
	var names []string
	for _, s := range c.Sources {
		names = append(names, s.Name)
	}
	for i, share := range c.Export.Mix {
		if share.Source != "" && !slices.Contains(names, share.Source) {
			return usage(c.document.Errorf(fmt.Sprintf("export.mix[%d].source", i), "there is no source %q: %s", share.Source, config.Suggest(share.Source, names)))
		}
	}
	return nil
}

func (c Config) validateSources(wrong func(path, format string, args ...any) error) error {
	if len(c.Sources) == 0 {
		return wrong("sources", "no source is configured: list what holds pairs, such as `- path: ./photos` or `- path: ./data/*.tar`")
	}
	names := map[string]int{}
	for i, s := range c.Sources {
		path := fmt.Sprintf("sources[%d]", i)
		switch {
		case (s.Path == "") == (s.Bundled == ""):
			return wrong(path, "want either a `path` or `bundled: sample`")
		case s.Bundled != "" && s.Bundled != "sample":
			return wrong(path+".bundled", "%q is unknown: want \"sample\"", s.Bundled)
		case s.Kind != "" && !slices.Contains(ingest.Kinds(), s.Kind):
			return wrong(path+".kind", "is %q: want one of %v", s.Kind, ingest.Kinds())
		case s.Limit < 0:
			return wrong(path+".limit", "is %d: want a number of items, or 0 for all", s.Limit)
		case !(s.Weight >= 0):
			return wrong(path+".weight", "is %v: want a positive number", s.Weight)
		case (s.Weight > 0) != (c.Sources[0].Weight > 0):
			return wrong(path, "some sources have a `weight` and some have none: give one to each or to none")
		}
		for _, place := range []struct{ key, value string }{{"path", s.Path}, {"images", s.Images}} {
			if scheme, _, ok := strings.Cut(place.value, "://"); ok && scheme != "file" {
				if _, _, err := parseBucket(place.value); err != nil {
					return wrong(path+"."+place.key, "is %q: want a path, file:// or s3://bucket/prefix", place.value)
				}
			}
		}
		if j, taken := names[s.Name]; taken {
			return wrong(path, "the name %q is that of sources[%d] already: give each source a `name` of its own", s.Name, j)
		}
		names[s.Name] = i
	}
	return nil
}

// showNumber writes the value of a key as a user would.
func showNumber(path string, n int64) string {
	switch path {
	case "calls.pause", "calls.patience", "calls.hold", "calls.share", "ingest.download.timeout":
		return time.Duration(n).String()
	case "shards.size", "shards.row_group", "ingest.decode_memory", "ingest.download.max_bytes":
		return config.Size(n).String()
	}
	return fmt.Sprint(n)
}

func (c Config) validateModels(wrong func(path, format string, args ...any) error) error {
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m, path := c.Models[name], "models."+name
		switch m.Kind {
		case kindScenes:
			if !reflect.DeepEqual(m, Model{Kind: kindScenes}) {
				return wrong(path, "the model in the box has no other settings than its kind")
			}
		case kindOpenAI, kindOmni, kindImages, kindWorker, kindScorer:
			if err := c.validateServers(name); err != nil {
				return wrong(path, "%v", err)
			}
		case "":
			return wrong(path+".kind", "is missing: want %s, %s, %s, %s, %s or %s", kindScenes, kindOpenAI, kindOmni, kindImages, kindWorker, kindScorer)
		default:
			return wrong(path+".kind", "is %q: want %s (the model in the box), %s (a VLM behind an OpenAI-compatible server), %s (BAGEL or IRG on vLLM-Omni), %s (a painter behind OpenAI's images API), %s (the exact IRG worker) or %s (numbers for images)", m.Kind, kindScenes, kindOpenAI, kindOmni, kindImages, kindWorker, kindScorer)
		}
	}
	for _, role := range slices.Sorted(maps.Keys(c.Roles)) {
		if !slices.Contains(modes.Roles(), modes.Role(role)) {
			return wrong("roles."+role, "role %q is unknown: want one of %v", role, modes.Roles())
		}
		if _, ok := c.Models[c.Roles[role]]; !ok {
			return wrong("roles."+role, "there is no model %q: want one of %s", c.Roles[role], strings.Join(slices.Sorted(maps.Keys(c.Models)), ", "))
		}
	}
	wanted, err := modes.Select(c.Modes)
	if err != nil {
		return wrong("modes", "%v", err)
	}
	for _, step := range c.calls(wanted) {
		name := c.player(step.Role)
		if name == "" {
			return wrong("roles", "role %s has no model, and step %s needs one: bind it to one of %s", step.Role, step.Name, strings.Join(slices.Sorted(maps.Keys(c.Models)), ", "))
		}
		switch kind := c.Models[name].Kind; {
		case kind == kindScenes || kind == kindWorker:
			continue // they write and paint, from any context
		case kind == kindScorer && step.Role == modes.ScorerRole(name):
			continue
		case kind == kindScorer:
			return wrong("roles."+string(step.Role), "the model %s is of kind %s and gives numbers alone: bind the role to another model", name, kindScorer)
		}
		if err := chat.Flavor(c.Models[name].Kind).Serves(step.Want(), step.Images(), c.Image.Width, c.Image.Height); err != nil {
			return wrong("models."+name, "it cannot play role %s in step %s: %v", step.Role, step.Name, err)
		}
	}
	return nil
}

// validateServers reports the first mistake in where a model is served.
func (c Config) validateServers(name string) error {
	m := c.Models[name]
	addresses := m.addresses()
	switch started := len(m.Serve.Command) > 0; {
	case started && len(addresses) > 0:
		return errors.New("want either `serve`, which starts servers, or the `url` of one that runs")
	case m.URL != "" && len(m.URLs) > 0:
		return errors.New("want either `url` or `urls`")
	case !started && !reflect.DeepEqual(m.Serve, Serve{}):
		return errors.New("`serve.command` is missing: want the program that serves the model and its arguments")
	case started:
		if err := c.serverOptions(name, nil).Validate(); err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		if c.Calls.Patience <= m.Serve.ReadyTimeout {
			return fmt.Errorf("`serve.ready_timeout` is %v: want it shorter than `calls.patience`, which is %v", time.Duration(m.Serve.ReadyTimeout), time.Duration(c.Calls.Patience))
		}
		addresses = []string{"http://127.0.0.1:1" + m.base()}
	case len(addresses) == 0:
		addresses = []string{""} // which chat.Options explain
	}
	for i, address := range addresses {
		var err error
		switch m.Kind {
		case kindWorker:
			o := c.workerOptions(name)
			o.URL = address
			err = o.Validate()
		case kindScorer:
			o := c.scorerOptions(name)
			o.URL = address
			err = o.Validate()
		default:
			o := c.chatOptions(name)
			o.URL = address
			err = o.Validate()
		}
		if err != nil {
			return err
		}
		if slices.Contains(addresses[:i], address) {
			return fmt.Errorf("the address %s is listed twice", address)
		}
	}
	return nil
}

// parallel is the number of requests that a server of the model gets at once.
func (c Config) parallel(name string) int {
	switch m := c.Models[name]; {
	case m.Parallel != 0:
		return m.Parallel
	case m.Kind == kindOmni:
		return 1
	case m.Kind == kindWorker:
		return 2 // one that works, and one that waits there
	}
	return 8
}

// callWorkers is the number of pairs under way at one time: where it is not
// set, twice what the servers take at once, so that none waits for a pair's
// other work.
func (c Config) callWorkers() int {
	if c.Calls.Workers > 0 {
		return c.Calls.Workers
	}
	places := 0
	for name, m := range c.Models {
		places += max(len(m.addresses()), len(m.Serve.GPUs), 1) * c.parallel(name)
	}
	return min(max(8, 2*places), 4096)
}

// workerOptions are the options of an exact IRG worker, but for its address.
func (c Config) workerOptions(name string) worker.Options {
	m, id := c.Models[name], c.identity(name)
	return worker.Options{Name: id.Name, Revision: id.Revision, Timeout: time.Duration(m.Timeout), Parallel: c.parallel(name)}
}

// scorerOptions are the options of a score server, but for its address.
func (c Config) scorerOptions(name string) scorer.Options {
	m, id := c.Models[name], c.identity(name)
	return scorer.Options{Name: id.Name, Revision: id.Revision, KeyEnv: m.KeyEnv, Timeout: time.Duration(m.Timeout), Parallel: c.parallel(name)}
}

// identity is that of the named model in the ledger: by the name that its
// server gives it. What the configuration calls it does not matter.
func (c Config) identity(name string) runtime.Identity {
	m := c.Models[name]
	if m.Model == "" {
		m.Model = name
	}
	return runtime.Identity{Name: m.Model, Revision: m.Revision}
}

// chatOptions are the options of a model that a server runs, but for its
// address.
func (c Config) chatOptions(name string) chat.Options {
	m, id := c.Models[name], c.identity(name)
	return chat.Options{
		Name: id.Name, Revision: id.Revision, Model: id.Name, Flavor: chat.Flavor(m.Kind),
		Stages: m.Stages, KeyEnv: m.KeyEnv, Timeout: time.Duration(m.Timeout), Parallel: c.parallel(name),
	}
}

// scenesOnOwn reports whether the model in the box is to work on the user's own
// pairs.
func (c Config) scenesOnOwn() bool {
	own := slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Bundled == "" })
	for _, m := range c.Models {
		if m.Kind == kindScenes {
			return own
		}
	}
	return false
}

// path makes a path of the configuration one of this process.
func (c Config) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.dir, p)
}

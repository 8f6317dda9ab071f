package export

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/goccy/go-yaml"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/parquet"
	"github.com/irgdata/irgdata/manifests"
)

// card is the dataset card of an export, and what it counts of the examples
// while they are written.
type card struct {
	plan    *plan
	account manifests.Account

	trajectories int64
	sources      tally
	licenses     tally
	languages    tally
	shown        []cardExample
	pictures     []cardPicture
}

// cardExamples is how many examples a card shows.
const cardExamples = 3

// cardExample is a trajectory that the card shows.
type cardExample struct {
	Prompt, Reflection string
	Draft, Improved    string // paths of their images
}

// cardPicture is an image of the card.
type cardPicture struct {
	path    string
	encoded []byte
}

// tally counts values, of which a dataset has few; the rest is counted as one.
type tally map[string]int64

const (
	tallyMost = 1000
	tallyRest = "others"
)

func (t tally) add(value string) {
	if _, ok := t[value]; !ok && len(t) >= tallyMost {
		value = tallyRest
	}
	t[value]++
}

// tallied is a value and how often it came.
type tallied struct {
	Value string
	Count int64
}

// sorted has the most frequent first.
func (t tally) sorted() (all []tallied) {
	for _, value := range slices.Sorted(maps.Keys(t)) {
		all = append(all, tallied{value, t[value]})
	}
	slices.SortStableFunc(all, func(a, b tallied) int { return cmp.Compare(b.Count, a.Count) })
	return all
}

func newCard(p *plan, account manifests.Account) *card {
	return &card{plan: p, account: account, sources: tally{}, licenses: tally{}, languages: tally{}}
}

// add counts an example.
func (c *card) add(x example) {
	if !x.first {
		return
	}
	t := x.trajectory
	c.trajectories++
	c.sources.add(t.Pair.Source)
	c.licenses.add(t.Pair.License)
	c.languages.add(t.Pair.Language)
	draft, improved := t.Slots[irgdata.SlotDraft].Image, t.Slots[irgdata.SlotImproved].Image
	if len(c.shown) >= cardExamples || draft.IsZero() || improved.IsZero() {
		return
	}
	picture := func(name string, ref irgdata.ImageRef) string {
		path := fmt.Sprintf("assets/example-%d-%s.%s", len(c.shown)+1, name, extension(ref))
		c.pictures = append(c.pictures, cardPicture{path, x.images[ref.Digest]})
		return path
	}
	c.shown = append(c.shown, cardExample{
		Prompt: quoted(t.Pair.Prompt, 1000), Reflection: quoted(t.Slots[irgdata.SlotReflection].Text, 2000),
		Draft: picture("draft", draft), Improved: picture("improved", improved),
	})
}

// quoted is a text as a quotation of Markdown, at most n characters of it.
func quoted(text string, n int) string {
	text = strings.NewReplacer("<think>", "", "</think>", "").Replace(text)
	if runes := []rune(strings.TrimSpace(text)); len(runes) > n {
		text = string(runes[:n]) + " …"
	}
	return "> " + strings.ReplaceAll(html.EscapeString(strings.TrimSpace(text)), "\n", "\n> ")
}

// license is the card's word for the licences of the rows: an identifier of
// the Hub, which are SPDX's in lower case, or "other".
func (c *card) license() string {
	if len(c.licenses) == 1 {
		for name := range c.licenses {
			if name = strings.ToLower(name); slices.Contains(hubLicenses, name) {
				return name
			}
		}
	}
	return "other"
}

// hubLicenses are identifiers that the Hub takes, of licences that images and
// datasets have.
var hubLicenses = []string{
	"apache-2.0", "mit", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
	"cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "odbl", "pddl", "unlicense",
}

//go:embed card.md
var cardText string

// render writes the card: metadata in YAML, and the text for people.
func (c *card) render(files []ModeFiles) ([]byte, error) {
	head, err := yaml.MarshalWithOptions(c.metadata(files), yaml.IndentSequence(false))
	if err != nil {
		return nil, err
	}
	t, err := template.New("README.md").Funcs(template.FuncMap{"cell": cell, "none": func(s string) string { return cmp.Or(s, "not stated") }, "hours": func(s float64) float64 { return s / 3600 }}).Parse(cardText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "---\n%s---\n", head)
	s := c.plan.snapshot
	err = t.Execute(&out, map[string]any{
		"Snapshot": s, "Settings": s.Settings, "Counts": s.Counts, "Selection": c.plan.selection, "Selected": c.plan.selection.narrows(),
		"Shares": c.plan.shares, "Files": files, "Trajectories": c.trajectories, "Sources": c.sources.sorted(), "Licenses": c.licenses.sorted(),
		"Account": c.account, "Examples": c.shown, "Columns": hfColumns(),
	})
	return out.Bytes(), err
}

// cell is a text in a table of Markdown.
func cell(v any) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(html.EscapeString(fmt.Sprint(v)))
}

// metadata is what the Hub and `datasets` read of a card.
func (c *card) metadata(files []ModeFiles) yaml.MapSlice {
	item := func(key string, value any) yaml.MapItem { return yaml.MapItem{Key: key, Value: value} }
	var configs, infos []yaml.MapSlice
	total := int64(0)
	for start := 0; start < len(files); {
		mode := files[start].Mode
		var data, splits []yaml.MapSlice
		size := int64(0)
		for ; start < len(files) && files[start].Mode == mode; start++ {
			f := files[start]
			bytes := int64(0)
			for _, file := range f.Files {
				bytes += file.Size
			}
			size, total = size+bytes, total+f.Rows
			data = append(data, yaml.MapSlice{item("split", string(f.Split)), item("path", fmt.Sprintf("%s/%s-*.parquet", mode, f.Split))})
			splits = append(splits, yaml.MapSlice{item("name", string(f.Split)), item("num_bytes", bytes), item("num_examples", f.Rows)})
		}
		configs = append(configs, yaml.MapSlice{item("config_name", mode), item("data_files", data)})
		infos = append(infos, yaml.MapSlice{
			item("config_name", mode), item("features", yamlFeatures(hfColumns())),
			item("splits", splits), item("download_size", size), item("dataset_size", size),
		})
	}
	head := yaml.MapSlice{item("license", c.license())}
	if c.license() == "other" {
		head = append(head, item("license_name", "see-the-column-license"))
	}
	var languages []string
	for _, l := range c.languages.sorted() {
		if l.Value != "" && l.Value != "und" && l.Value != tallyRest {
			languages = append(languages, l.Value)
		}
	}
	if len(languages) > 0 {
		head = append(head, item("language", languages))
	}
	return append(head,
		item("pretty_name", "Interleaving reasoning for text-to-image generation"),
		item("task_categories", []string{"text-to-image", "image-text-to-text"}),
		item("tags", []string{"interleaved", "reasoning", "reflection", "synthetic", "irgdata"}),
		item("size_categories", []string{sizeCategory(total)}),
		item("configs", configs), item("dataset_info", infos),
	)
}

func yamlFeatures(columns []parquet.Column) []yaml.MapSlice {
	var features []yaml.MapSlice
	for _, c := range columns {
		f := yaml.MapSlice{{Key: "name", Value: c.Name}}
		switch {
		case c.Kind == parquet.List && c.Of[0].Kind == parquet.Picture:
			f = append(f, yaml.MapItem{Key: "list", Value: "image"})
		case c.Kind == parquet.List:
			f = append(f, yaml.MapItem{Key: "list", Value: yamlFeatures(c.Of)})
		case c.Kind == parquet.Bool:
			f = append(f, yaml.MapItem{Key: "dtype", Value: "bool"})
		default:
			f = append(f, yaml.MapItem{Key: "dtype", Value: "string"})
		}
		features = append(features, f)
	}
	return features
}

// sizeCategory is the Hub's word for a number of rows.
func sizeCategory(n int64) string {
	bounds := []struct {
		most int64
		name string
	}{{1e3, "n<1K"}, {1e4, "1K<n<10K"}, {1e5, "10K<n<100K"}, {1e6, "100K<n<1M"}, {1e7, "1M<n<10M"}, {1e8, "10M<n<100M"}}
	for _, b := range bounds {
		if n < b.most {
			return b.name
		}
	}
	return "100M<n<1B"
}

package images_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/irgdata/irgdata/internal/images"
)

// row is a row of the table of traits in docs/images.md.
type row struct {
	name          string // a prefix if it ends in a colon
	effect, makes string
	files         []string
}

func documentedTraits(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("../../docs/images.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	_, table, _ := strings.Cut(string(text), "\n| trait | ")
	var rows []row
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 {
			break
		}
		r := row{name: quoted.FindStringSubmatch(cells[0])[1], effect: cells[1], makes: cells[2]}
		for _, file := range quoted.FindAllStringSubmatch(cells[3], -1) {
			r.files = append(r.files, file[1])
		}
		rows = append(rows, r)
	}
	return rows
}

// TestTraits: each row of the table in docs/images.md is true of the images
// named in it, and the table has each trait of each image.
func TestTraits(t *testing.T) {
	rows := documentedTraits(t)
	if len(rows) < 10 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	all := map[string]fixture{}
	for _, f := range fixtures(t) {
		all[f.File] = f
		info, err := images.Inspect(f.encoded, f.File)
		if err != nil {
			t.Fatal(f.File, err)
		}
		for _, trait := range info.Traits() {
			if !slices.ContainsFunc(rows, func(r row) bool { return r.shows(f.File, trait) }) {
				t.Errorf("the table lacks %s of %s, %q: %s", trait.Name, f.File, trait.Effect, trait.Makes)
			}
		}
	}
	for _, r := range rows {
		if len(r.files) == 0 {
			t.Errorf("%s: no image shows it", r.name)
		}
		for _, file := range r.files {
			f, ok := all[file]
			if !ok {
				t.Errorf("%s: there is no image %s", r.name, file)
				continue
			}
			info, err := images.Inspect(f.encoded, f.File)
			if err != nil {
				t.Fatal(err)
			}
			traits := info.Traits()
			if !slices.ContainsFunc(traits, func(trait images.Trait) bool { return r.shows(file, trait) }) {
				t.Errorf("%s of %s: got %v", r.name, file, traits)
			}
			worst := images.Faithful
			for _, trait := range traits {
				if trait.Effect == images.Wrong || worst == images.Faithful {
					worst = trait.Effect
				}
			}
			switch {
			case r.effect == string(images.Wrong) && (f.Person == nil || f.Trainer.differs(f.Person) < 40):
				t.Errorf("%s of %s is said to be wrong: it is right\n%s", r.name, file, cmp.Diff(f.Trainer, f.Person))
			case worst == images.Faithful && (f.Person == nil || f.Trainer.differs(f.Person) > 4):
				t.Errorf("%s of %s is said to be faithful: it is not\n%s", r.name, file, cmp.Diff(f.Trainer, f.Person))
			}
		}
	}
}

// shows reports whether the row says of the file what the trait says.
func (r row) shows(file string, trait images.Trait) bool {
	named := trait.Name == r.name || strings.HasSuffix(r.name, ":") && strings.HasPrefix(trait.Name, r.name)
	return named && string(trait.Effect) == r.effect && trait.Makes == r.makes && slices.Contains(r.files, file)
}

// Package ingest reads raw text-image pairs from sources, in a fixed order,
// and keeps their images. What cannot be a pair becomes a reject.
//
// The way of an item:
//
//	Source ─units→ Raw ─load, admit→ Entry ─duplicates→ Pair
//
// A unit is a part of a source, such as a tar file, whose entries are kept in
// the catalog when all of it has been read: as long as it does not change, no
// byte of it is read again.
package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/manifests"
)

// Raw is an item as a source gives it, before anything was checked.
type Raw struct {
	// Key is the item's place in its source.
	Key string
	// Caption is the prompt, in whatever encoding it came. Where CaptionFile is
	// set it is in that file: as text, or in a field of a .json file, which
	// Columns names.
	Caption     string
	CaptionFile File
	Columns     Columns
	License     string
	// URL is where the image came from, as far as the source says.
	URL string

	// Exactly one of the following is the image, unless there is a Problem:
	// its bytes, a file to read, an address to download, or no image at all,
	// which leaves it to the painter.
	Encoded    []byte
	File       File
	Download   string
	PromptOnly bool
	// Name is the image's file name, whose extension is checked against the
	// content; it may be empty.
	Name string

	// Problem, unless empty, says why the item is no pair, and Rule names the
	// kind of problem.
	Rule, Problem string
}

// File is a file to be read.
type File struct {
	FS   fs.FS
	Name string
	// Root is the whole path of FS on this machine, "" if it has none.
	Root string
	// version is that of the file, if the one who listed it knows it.
	version irgdata.Digest
}

// problem makes the item one that is no pair.
func (r Raw) problem(rule, format string, args ...any) Raw {
	return Raw{Key: r.Key, Caption: r.Caption, License: r.License, URL: r.URL, Rule: rule, Problem: fmt.Sprintf(format, args...)}
}

// Source yields the units of a source, each time in the same order.
type Source interface {
	// Name names the source in pairs and rejects.
	Name() string
	// Options identifies whatever else than their content shapes the items of
	// the units, such as names of columns.
	Options() string
	// Units yields the parts of the source. An error ends the run: the source
	// cannot be read, or the configuration does not fit it.
	Units(ctx context.Context) iter.Seq2[Unit, error]
}

// Unit is a part of a source.
type Unit struct {
	// Name is for people.
	Name string
	// Version changes when the content does, as far as the place tells: of a
	// file by its name, size and time of change. Zero: it cannot be told, so the
	// unit is read each time.
	Version irgdata.Digest
	// Items yields the items, each time in the same order. A broken item is a
	// Raw with a Problem; an error ends the run.
	Items iter.Seq2[Raw, error]
}

// Feed is a source and the part of it that is wanted.
type Feed struct {
	Source Source
	// Place is where the source is, such as a folder's whole path or a bucket's
	// address: equal names at two places are two things.
	Place string
	// License holds for items whose source says nothing itself.
	License string
	// Limit is the most items read; 0 means all.
	Limit int
	// Weight is the part of this source in the mix: with weights, items of the
	// sources alternate in proportion to them until a source is exhausted; with
	// none, the sources are read one after another. All have one, or none.
	Weight float64
}

// Options say how much is read, and how.
type Options struct {
	// Limit is the most items read of all sources together; 0 means all.
	Limit int
	// Sample is the part of the items to read, by a draw that is always the
	// same for an item; 0 means all.
	Sample float64
	// Workers decode images at one time, and Loaders load or download them.
	Workers, Loaders int
	// Work is a folder for the entries between the two passes.
	Work string
	// Limits name what decides which downloads are refused for good, as
	// [fetch.Options.Limits] does; those refused under other limits are tried
	// again. With Retry, so is every download that failed.
	Limits string
	Retry  bool
	// Reread reads all units again, also those that have not changed by what
	// their places tell of them.
	Reread bool
	// Duplicates say which pairs are nearly the same, and Preferred, unless
	// nil, is true for pairs of the snapshot that is built upon: of similar
	// pairs, they stay.
	Duplicates DuplicateOptions
	Preferred  func(irgdata.Digest) bool
	// Inventory, unless nil, tells which images are in the store: an item whose
	// image was lost is read again. It is called once, if it is called.
	Inventory func(ctx context.Context) (holds func(irgdata.Digest) bool, err error)
	// Contaminated, unless nil, says of the prompt of each pair whether it must
	// not be trained on, as it is one of a benchmark: by a sentence that names
	// that one, and the part of it that is in the prompt, of 0 to 1. Such a pair
	// takes no other pair's place. The catalog does not depend on it. It is
	// called by the goroutine that ranges over the result.
	Contaminated func(prompt string) (reason string, score float64, bad bool)
	// Removed is what must not be in the dataset. Pairs that were removed become
	// rejects that say nothing of them but their place, and their images are not
	// kept. What looks like one of them or says the same stays out as well,
	// unless its whole source was removed. The catalog knows them by their hashes.
	Removed *manifests.Removed
	// Saw, unless nil, is called for each item of the first pass, by the
	// goroutine that ranges over the result.
	Saw func()
	// Unsettled, unless nil, is called by the same goroutine when the next run
	// may make something else of the same units: what could not be read is tried
	// again. It is called too when units are not those of Inputs.
	Unsettled func()
	// Inputs are those of the feeds as they were listed before. What the catalog
	// knows of their units is read ahead. They may be zero.
	Inputs Inputs
}

// Validate reports the first mistake.
func (o Options) Validate() error {
	switch {
	case o.Limit < 0:
		return fmt.Errorf("limit is %d: want a number of items, or 0 for all", o.Limit)
	case !(o.Sample >= 0 && o.Sample <= 1):
		return fmt.Errorf("sample is %v: want a part of all items between 0 and 1", o.Sample)
	case o.Work == "":
		return errors.New("no work folder is set")
	}
	return o.Duplicates.Validate()
}

// draws reports whether the item at this place is in the sample.
func (o Options) draws(source, key string) bool {
	if o.Sample == 0 || o.Sample == 1 {
		return true
	}
	d := irgdata.NewDigester("sample/1").Text(source).Text(key).Sum()
	return float64(binary.BigEndian.Uint64(d[:]))/math.MaxUint64 < o.Sample
}

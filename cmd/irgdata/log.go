package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

// logEntry is what the log tells of a snapshot.
type logEntry struct {
	Number       int      `json:"number"`
	Parent       int      `json:"parent"`
	Tags         []string `json:"tags"`
	Preview      bool     `json:"preview"`
	Expired      string   `json:"expired,omitempty"` // why
	Damaged      string   `json:"damaged,omitempty"` // what is wrong with the manifest; then all else is unknown
	Items        int64    `json:"items"`
	Trajectories int64    `json:"trajectories"`
	Rejected     int64    `json:"rejected"`
	Bytes        int64    `json:"bytes"` // of the shards
	// Change is what differs from the parent, but for the identities; nil where
	// there is no parent or one of the two has expired.
	Change *logChange `json:"change,omitempty"`
	// Settings differ from the parent's.
	Settings []manifests.SettingChange `json:"settings"`
}

type logChange struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
}

func logCommand() *cobra.Command {
	var f flags
	var asJSON bool
	var show int
	cmd := &cobra.Command{
		Use:   "log",
		Short: "List the snapshots, the newest first, with tags and what changed",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			if show < 1 {
				return usagef("--show %d: want a number of snapshots, at least 1", show)
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				entries, more, err := d.history(ctx, show)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), entries)
				}
				for _, e := range entries {
					e.print(cmd.OutOrStdout())
				}
				if more > 0 {
					fmt.Fprintf(cmd.OutOrStdout(), "… and %s before: see --show\n", plural(int64(more), "snapshot"))
				}
				return nil
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().IntVar(&show, "show", 20, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// history is the log of the newest snapshots, and the number of those before.
func (d *dataset) history(ctx context.Context, show int) (entries []logEntry, more int, err error) {
	if err := d.present(); err != nil {
		return nil, 0, err
	}
	numbers, err := manifests.Numbers(ctx, d.store)
	if err == nil && len(numbers) == 0 {
		_, err = manifests.Latest(ctx, d.store) // says what to do
	}
	if err != nil {
		return nil, 0, err
	}
	expired, err := manifests.Expired(ctx, d.store)
	if err != nil {
		return nil, 0, err
	}
	tags, err := manifests.Tags(ctx, d.store)
	if err != nil {
		return nil, 0, err
	}
	slices.Reverse(numbers)
	damaged := map[int]string{}
	var snapshots []manifests.Snapshot // and the parent of the last
	for _, n := range numbers[:min(show+1, len(numbers))] {
		s, err := manifests.Load(ctx, d.store, n)
		if errors.Is(err, blob.ErrDamaged) {
			damaged[n], s = err.Error(), manifests.Snapshot{Number: n, Parent: n - 1}
			err = nil
		}
		if err != nil {
			return nil, 0, err
		}
		snapshots = append(snapshots, s)
	}
	for i, s := range snapshots[:min(show, len(snapshots))] {
		e := logEntry{
			Number: s.Number, Parent: s.Parent, Tags: []string{}, Preview: s.Settings.Preview(), Expired: expired[s.Number], Damaged: damaged[s.Number],
			Items: s.Counts.Items, Trajectories: s.Counts.Trajectories, Rejected: s.Counts.Rejected, Settings: []manifests.SettingChange{},
		}
		for _, t := range tags {
			if t.Snapshot == s.Number {
				e.Tags = append(e.Tags, t.Name)
			}
		}
		for _, shard := range s.Shards {
			e.Bytes += shard.Size
		}
		if i+1 < len(snapshots) && snapshots[i+1].Number == s.Parent && damaged[s.Number]+damaged[s.Parent] == "" {
			parent := snapshots[i+1]
			if changes, err := manifests.CompareSettings(parent.Settings, s.Settings); err != nil {
				return nil, 0, err
			} else if changes != nil {
				e.Settings = changes
			}
			if e.Expired == "" && expired[parent.Number] == "" {
				diff, err := manifests.Compare(ctx, d.store, parent, s)
				if err != nil {
					return nil, 0, err
				}
				e.Change = &logChange{len(diff.Added), len(diff.Changed), len(diff.Removed)}
			}
		}
		entries = append(entries, e)
	}
	return entries, len(numbers) - len(entries), nil
}

func (e logEntry) print(w io.Writer) {
	fmt.Fprintf(w, "Snapshot %d", e.Number)
	if len(e.Tags) > 0 {
		fmt.Fprintf(w, " (%s)", strings.Join(e.Tags, ", "))
	}
	if e.Preview {
		fmt.Fprint(w, ", a preview")
	}
	if e.Expired != "" {
		fmt.Fprintf(w, ", expired: %s", e.Expired)
	}
	if e.Damaged != "" {
		fmt.Fprintf(w, ", damaged: %s\n\n", e.Damaged)
		return
	}
	fmt.Fprintf(w, "\n  %s in → %s, %s rejected, %s\n", plural(e.Items, "item"), plural(e.Trajectories, "trajectory"), humanize.Comma(e.Rejected), humanize.Bytes(uint64(e.Bytes)))
	if c := e.Change; c != nil {
		fmt.Fprintf(w, "  pairs: %d new, %d changed, %d removed\n", c.Added, c.Changed, c.Removed)
	}
	for _, s := range e.Settings {
		fmt.Fprintf(w, "  %s\n", settingChange(s, 60))
	}
	fmt.Fprintln(w)
}

// settingChange says in two values of at most n characters how a setting changed.
func settingChange(s manifests.SettingChange, n int) string {
	return fmt.Sprintf("%s: %s → %s", s.Name, shorten(cmp.Or(s.Before, "–"), n), shorten(cmp.Or(s.After, "–"), n))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/internal/blob"
	"github.com/irgdata/irgdata/manifests"
)

func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Show, export and compact the calls that were paid for",
		Long: `The ledger holds every model call that came to an end, with its answer or why
there is none, and what it cost. Its calls are shared through segments, objects of
the store; a local copy answers look-ups. docs/durability.md says what survives
what.`,
		Args: subcommand,
		Run:  func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
	}
	cmd.AddCommand(ledgerStatsCommand(), ledgerExportCommand(), ledgerGCCommand())
	return cmd
}

// ledgerStats is what the command prints.
type ledgerStats struct {
	Calls  int `json:"calls"`
	Failed int `json:"failed"`
	// Unshared calls are in the local copy alone, of LocalBytes: 0 if there is
	// none on this machine.
	Unshared   int                    `json:"unshared"`
	LocalBytes int64                  `json:"local_bytes"`
	Store      manifests.SegmentStats `json:"store"`
	Steps      []manifests.StepCost   `json:"steps"`
	// Doubles sums the calls that two machines made at once, which the other
	// counts leave out.
	Doubles []manifests.StepCost `json:"doubles"`
	// Removed sums the calls about removed pairs, whose answers were deleted.
	Removed []manifests.StepCost `json:"removed,omitempty"`
}

func ledgerStatsCommand() *cobra.Command {
	var f flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count calls by step and model, and what they take on disk and in the store",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.withLedger(cmd, func(ctx context.Context, d *dataset) error {
				s, err := d.ledgerStats(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				s.print(cmd.OutOrStdout())
				return nil
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// withLedger opens the dataset, of which there must be one, for its ledger.
func (f *flags) withLedger(cmd *cobra.Command, do func(context.Context, *dataset) error) error {
	c, err := f.load(cmd)
	if err != nil {
		return err
	}
	return withDataset(cmd, c, ledger, func(ctx context.Context, d *dataset) error {
		if err := d.present(); err != nil {
			return err
		}
		return do(ctx, d)
	})
}

func (d *dataset) ledgerStats(ctx context.Context) (s ledgerStats, err error) {
	if s.Steps, err = d.ledger.Costs(ctx); err != nil {
		return s, err
	}
	for _, step := range s.Steps {
		s.Calls, s.Failed = s.Calls+step.Calls, s.Failed+step.Failed
	}
	if s.Doubles, err = d.ledger.Doubles(ctx); err != nil {
		return s, err
	}
	if s.Removed, err = d.ledger.PurgedCosts(ctx); err != nil {
		return s, err
	}
	if s.Unshared, err = d.ledger.Unshared(ctx); err != nil {
		return s, err
	}
	id, err := manifests.Identity(ctx, d.store)
	switch {
	case errors.Is(err, blob.ErrNotExist): // no dataset yet
	case err != nil:
		return s, err
	default:
		for _, suffix := range []string{"", "-wal"} { // SQLite's file, and its log of what is not in it yet
			if info, err := os.Stat(d.ledgerPath(id) + suffix); err == nil {
				s.LocalBytes += info.Size()
			}
		}
	}
	s.Store, err = manifests.Segments(ctx, d.store)
	return s, err
}

func (s ledgerStats) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  step\tmodel\tcalls\tfailed\trequests\tmodel time\n")
	for _, c := range s.Steps {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", c.Step, c.Model,
			humanize.Comma(int64(c.Calls)), dash(int64(c.Failed)), humanize.Comma(int64(c.Attempts)), duration(c.Seconds))
	}
	fmt.Fprintf(t, "  all\t\t%s\t%s\n", humanize.Comma(int64(s.Calls)), dash(int64(s.Failed)))
	for _, part := range []struct {
		what  string
		costs []manifests.StepCost
	}{{"made twice", s.Doubles}, {"of removed pairs", s.Removed}} {
		for _, c := range part.costs {
			fmt.Fprintf(t, "  %s: %s\t%s\t%s\t%s\t%s\t%s\n", part.what, c.Step, c.Model,
				humanize.Comma(int64(c.Calls)), dash(int64(c.Failed)), humanize.Comma(int64(c.Attempts)), duration(c.Seconds))
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	if s.LocalBytes > 0 {
		fmt.Fprintf(w, "  local copy: %s, %s not shared yet\n", humanize.Bytes(uint64(s.LocalBytes)), plural(int64(s.Unshared), "call"))
	} else {
		fmt.Fprintln(w, "  local copy: none on this machine")
	}
	fmt.Fprintf(w, "  store: %s in %s", humanize.Bytes(uint64(s.Store.Bytes)), plural(int64(s.Store.Segments), "segment"))
	if s.Store.Segments > 0 {
		fmt.Fprintf(w, ", the oldest format is %d", s.Store.OldestFormat)
	}
	fmt.Fprintln(w)
}

func ledgerExportCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all calls to a .jsonl or .parquet file, for DuckDB and pandas",
		Long: `Writes all calls to a file, by ascending key: as JSON lines if its name ends in
.jsonl, as Parquet if it ends in .parquet. A file that is there is replaced when
the new one is whole. docs/format.md describes the columns.

    irgdata ledger export calls.parquet
    duckdb -c "SELECT step, rule, count(*) FROM 'calls.parquet' GROUP BY ALL"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes the name of a file, got %q: see `%s --help`", cmd.CommandPath(), args, cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var write func(io.Writer, *manifests.Ledger) (int64, error)
			switch ctx := cmd.Context(); filepath.Ext(args[0]) {
			case ".jsonl":
				write = func(w io.Writer, l *manifests.Ledger) (int64, error) { return writeCallLines(ctx, w, l) }
			case ".parquet":
				write = func(w io.Writer, l *manifests.Ledger) (int64, error) { return writeCallTable(ctx, w, l) }
			default:
				return usagef("%q: want the name of a file that ends in .jsonl or .parquet", args[0])
			}
			return f.withLedger(cmd, func(ctx context.Context, d *dataset) error {
				n := int64(0)
				err := writeWhole(ctx, args[0], func(w io.Writer) (err error) {
					n, err = write(w, d.ledger)
					return err
				})
				if err != nil {
					return fmt.Errorf("export the ledger: %w", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s to %s\n", plural(n, "call"), here(absolute(args[0])))
				return nil
			})
		},
	}
	f.addStore(cmd)
	return cmd
}

func ledgerGCCommand() *cobra.Command {
	var f flags
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Merge the store's small segments of calls into few",
		Long: `Writes the calls of small segments together into few, and then deletes the small
ones: another machine reads the ledger faster, and no call is lost. It may run
beside builds and other readers, and be stopped at any time.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			return withDataset(cmd, c, store, func(ctx context.Context, d *dataset) error {
				if err := d.present(); err != nil {
					return err
				}
				done, err := manifests.Compact(ctx, d.store, dry)
				if errors.Is(err, blob.ErrDamaged) {
					err = fmt.Errorf("%w: `irgdata verify --repair` makes good what can be", err)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), done)
				}
				printCompaction(cmd.OutOrStdout(), done, dry)
				return nil
			})
		},
	}
	f.addStore(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be merged, and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printCompaction(w io.Writer, c manifests.Compaction, dry bool) {
	if c.Merged == 0 {
		fmt.Fprintf(w, "Nothing to merge: %s, %s.\n", plural(int64(c.Segments), "segment"), humanize.Bytes(uint64(c.Bytes)))
		return
	}
	did := "Merged"
	if dry {
		did = "Would merge"
	}
	fmt.Fprintf(w, "%s %d of %s into %d: %s become %s.\n", did, c.Merged, plural(int64(c.Segments), "segment"), c.Written,
		humanize.Bytes(uint64(c.MergedBytes)), humanize.Bytes(uint64(c.WrittenBytes)))
	if c.Purged > 0 {
		fmt.Fprintf(w, "%s of removed pairs: what they cost is kept.\n", plural(int64(c.Purged), "call"))
	}
	if c.Doubles > 0 {
		fmt.Fprintf(w, "%s made on two machines at once: one of each is kept.\n", plural(int64(c.Doubles), "call"))
	}
}

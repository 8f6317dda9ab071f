package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/runtime/scenes"
)

// maxSamples keeps names at six digits.
const maxSamples = 999_999

func samplesCommand() *cobra.Command {
	var seed uint64
	cmd := &cobra.Command{
		Use:   "samples N DIR",
		Short: "Write N captioned pictures of the model in the box, to try things with",
		Long: `Writes N pairs of the closed world that the model in the box knows: pictures of
coloured shapes as JPEG, each with its caption in a text file of the same name.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("want a number and a folder: irgdata samples 100 ./samples")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 || n > maxSamples {
				return usagef("%q is no number of samples: want 1 to %d", args[0], maxSamples)
			}
			if err := scenes.WriteSamples(args[1], n, seed); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s to %s.\n", plural(int64(n), "pair"), here(args[1]))
			return nil
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the pictures")
	return cmd
}

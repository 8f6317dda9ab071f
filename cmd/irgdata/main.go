// Command irgdata builds IRGL-300K: training data for models that think,
// draw, look at what they drew, and draw better.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sourcegraph/conc"
	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/manifests"
	"github.com/irgdata/irgdata/runtime/servers"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2   // the command line or the configuration is wrong
	exitRejects     = 3   // finished, with more rejects than configured
	exitTryAgain    = 75  // the same command may do more later (EX_TEMPFAIL)
	exitInterrupted = 130 // by Ctrl-C or SIGTERM
)

// exitError carries an exit code other than exitFailed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks a mistake of the user.
func usage(err error) error { return &exitError{exitUsage, err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

func main() {
	// This very program watches over the model servers that it starts.
	servers.SuperviseIfAsked()
	// net/http tells the standard log what it thinks of servers; what matters
	// of it is in the rejects.
	log.SetOutput(io.Discard)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes a command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible()
	defer stop()

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	switch {
	case code == exitInterrupted:
		fmt.Fprintln(stderr, "irgdata: interrupted: what was paid for is kept, the same command goes on from here")
	case err != nil && manifests.LedgerDamaged(err):
		fmt.Fprintf(stderr, "irgdata: %v: the local ledger is damaged: `irgdata verify --repair` makes it anew\n", err)
	case err != nil:
		fmt.Fprintf(stderr, "irgdata: %v\n", err)
	}
	return code
}

// interruptible returns a context that the first interrupt ends, so that a run
// ends in order. The second one ends the program at once: what was paid for is on
// the disk. This holds also where the shell has interrupts ignored, as it does for
// what it starts in the background. The caller calls stop.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var watch conc.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-signals:
				cancel()
			case <-done:
				return
			}
		}
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-done:
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		watch.Wait()
		cancel()
	}
}

func exitCode(ctx context.Context, err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, manifests.ErrName): // none but the command line names snapshots
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "irgdata",
		Short: "Build training data for models that think, draw, look, and draw better",
		Long: `irgdata builds IRGL-300K, the dataset of "Interleaving Reasoning for Better
Text-to-Image Generation" (arXiv 2509.06945): it reads text-image pairs, lets
models write the thinking and reflection of each of the six learning modes,
filters them, and publishes snapshots and the trainer's Parquet.

    irgdata build        with nothing configured: a first dataset in ./irgl-out
    irgdata config init  a configuration to start from`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("%q is no command: did you mean %q?", args[0], near[0])
			}
			return usagef("%q is no command: see `irgdata help`", args[0])
		},
		Run: func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v: see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(buildCommand(), ingestCommand(), planCommand(), doctorCommand(), statsCommand(), filterCommand(), rejectsCommand(), whyCommand(), verifyCommand(), exportCommand(),
		logCommand(), diffCommand(), tagCommand(), rollbackCommand(), removeCommand(), gcCommand(), ledgerCommand(),
		serveCommand(), modesCommand(), samplesCommand(), configCommand(), versionCommand())
	return root
}

// noArgs is cobra's, as a mistake of the user.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q: see `%s --help`", cmd.CommandPath(), args, cmd.CommandPath())
	}
	return nil
}

// subcommand refuses what is no command below cmd.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return usagef("%q is no command: want one of %s: see `%s --help`", args[0], strings.Join(names, ", "), cmd.CommandPath())
}

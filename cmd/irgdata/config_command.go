package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/export"
	"github.com/irgdata/irgdata/internal/config"
)

// initialConfig is what `config init` writes: every key with its default.
//
//go:embed init.yaml
var initialConfig string

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Write, check or show a configuration",
		Args:  subcommand,
		Run:   func(cmd *cobra.Command, _ []string) { _ = cmd.Help() },
	}
	file := func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes one file, got %d", cmd.CommandPath(), len(args))
		}
		return nil
	}
	for _, sub := range []struct {
		use, short, otherwise string
		run                   func(*cobra.Command, string) error
	}{
		{"init", "Write a commented configuration to start from (" + defaultConfig + ")", defaultConfig, initConfig},
		{"check", "Say whether a configuration is right", "", checkConfig},
		{"show", "Print the configuration with every default filled in", "", showConfig},
	} {
		var named string
		c := &cobra.Command{
			Use: sub.use + " [FILE]", Short: sub.short, Args: file,
			RunE: func(cmd *cobra.Command, args []string) error {
				switch {
				case len(args) > 0 && named != "":
					return usagef("%s takes one file, got %s and %s", cmd.CommandPath(), named, args[0])
				case len(args) > 0:
					named = args[0]
				case named == "":
					named = sub.otherwise
				}
				return sub.run(cmd, named)
			},
		}
		c.Flags().StringVarP(&named, "config", "c", "", "the file, as for the other commands")
		_ = c.MarkFlagFilename("config", "yaml", "yml") // fails for unknown flags alone
		cmd.AddCommand(c)
	}
	return cmd
}

func initConfig(cmd *cobra.Command, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s is there already: name another file", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(initialConfig)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s. Set its sources and models, then `irgdata config check` and `irgdata plan`.\n", file)
	return nil
}

// checkConfig also opens what the configuration names on this machine.
func checkConfig(cmd *cobra.Command, file string) error {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	if _, err := c.prompts(); err != nil {
		return err
	}
	if _, err := c.feeds(cmd.Context()); err != nil {
		return err
	}
	if _, err := c.benchmarkItems(); err != nil {
		return err
	}
	if _, err := c.rules(); err != nil {
		return err
	}
	if err := c.checkMix(); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The configuration is right: %s, %s, store %s.\n",
		plural(int64(len(c.Sources)), "source"), plural(int64(len(c.Models)), "model"), c.Store)
	if c.scenesOnOwn() {
		fmt.Fprintf(cmd.OutOrStdout(), "The model in the box knows coloured shapes and refuses everything else: for other pairs set `models`.\n")
	}
	if c.Export.Image != (export.ImageOptions{}) && !slices.Contains(c.Export.Formats, export.IRG) {
		fmt.Fprintf(cmd.OutOrStdout(), "export.image has no effect: it is for the format irg alone, and export.formats is %v.\n", c.Export.Formats)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		if env := c.Models[name].KeyEnv; env != "" && os.Getenv(env) == "" {
			fmt.Fprintf(cmd.OutOrStdout(), "The environment variable %s is not set here: model %s needs it.\n", env, name)
		}
		if len(c.Models[name].Serve.Command) > 0 {
			if err := c.serverOptions(name, nil).Installed(); err != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "Model %s cannot be served here: %v.\n", name, err)
			}
		}
	}
	return nil
}

func showConfig(cmd *cobra.Command, file string) error {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	text, err := config.Marshal(c)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/serve"
)

// serveGrace is what requests under way have to finish after Ctrl-C.
const serveGrace = 10 * time.Second

func serveCommand() *cobra.Command {
	var f flags
	var address, name string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a model over the wire forms of vLLM-Omni, OpenAI chat and OpenAI images",
		Long: `Serves the model in the box, or one of the configuration, as model servers do:
POST /v1/chat/completions (as vLLM-Omni with BAGEL where the request has
modalities, else as OpenAI-compatible servers), /v1/images/generations,
/v1/images/edits, GET /v1/models and /health. One line a request goes to
standard error. Ctrl-C stops it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			var model runtime.Model = scenes.New()
			if name != "" {
				c, err := f.load(cmd)
				if err != nil {
					return err
				}
				if _, ok := c.Models[name]; !ok {
					return usagef("--model %s: there is no such model, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(c.Models)), ", "))
				}
				d := newDataset(c, log)
				defer func() { err = errors.Join(err, d.close(ctx)) }()
				if model, err = d.openModel(ctx, name); err != nil {
					return err
				}
			}
			handler, err := serve.New(model, serve.Options{Log: log})
			if err != nil {
				return err
			}
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
			if err != nil {
				return usagef("--address %s: %v; want a free HOST:PORT of this machine, such as 127.0.0.1:8091", address, err)
			}
			if at, ok := listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
				fmt.Fprintf(cmd.ErrOrStderr(), "Warning: %v is open to other machines, with no key and no encryption: anyone who reaches it can use the model.\n", at)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Serving %s at http://%s/v1 until Ctrl-C.\n", model.Identity(), listener.Addr())
			return serve.Serve(ctx, listener, handler, serveGrace)
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:8091", "where to listen, HOST:PORT; port 0 takes a free one")
	cmd.Flags().StringVar(&name, "model", "", "model of the configuration (default: the model in the box)")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration file (default "+defaultConfig+" in this folder, if there is one)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails for unknown flags alone
	return cmd
}

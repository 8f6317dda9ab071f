package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/irgdata/irgdata"
	"github.com/irgdata/irgdata/internal/images"
	"github.com/irgdata/irgdata/modes"
	"github.com/irgdata/irgdata/runtime"
	"github.com/irgdata/irgdata/runtime/scenes"
	"github.com/irgdata/irgdata/runtime/servers"
)

func doctorCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask each model server once for what the roles need, and report",
		Long: `Asks every server of the configuration for its model, and then makes each kind
of call that its roles need once, short and small: the steps of a build over a
sample pair, with a few tokens and two steps of an image. It keeps no answer.

Servers that the configuration starts are started, asked and stopped.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			c, err := f.load(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			d := newDataset(c, newLog(cmd.ErrOrStderr()))
			defer func() { err = errors.Join(err, d.close(ctx)) }()
			return d.doctor(ctx, cmd.OutOrStdout())
		},
	}
	f.addBuild(cmd)
	return cmd
}

// doctor asks each server of each model that has a part in a build.
func (d *dataset) doctor(ctx context.Context, w io.Writer) error {
	var err error
	if d.modes, err = modes.Select(d.config.Modes); err != nil {
		return usage(err)
	}
	if d.prompts, err = d.config.prompts(); err != nil {
		return err
	}
	sample, err := newProbe()
	if err != nil {
		return err
	}
	steps := map[string][]modes.Step{} // by model
	for _, step := range d.config.calls(d.modes) {
		name := d.config.player(step.Role)
		steps[name] = append(steps[name], step)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "model\tserver\tcall\trole\ttook\tresult\n")
	problems := 0
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		for s, err := range d.eachServer(ctx, name) {
			if err == nil && s.check != nil {
				err = s.check(ctx)
			}
			if err != nil {
				problems++
				fmt.Fprintf(t, "%s\t%s\t–\t–\t–\tPROBLEM %s\n", name, s.title, oneLine(err))
				continue
			}
			for _, step := range steps[name] {
				start := time.Now()
				result, err := sample.ask(ctx, s.model, step, d)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					problems++
					result = "PROBLEM " + oneLine(err)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, s.title, step.Name, step.Role, duration(time.Since(start).Seconds()), result)
			}
		}
	}
	t.Flush()
	if problems > 0 {
		return fmt.Errorf("%s", plural(int64(problems), "problem"))
	}
	return nil
}

// oneServer is one server that is asked.
type oneServer struct {
	title string
	model runtime.Model
	check func(context.Context) error // nil: there is nothing to check
}

// eachServer opens the servers of a model one after another, without a pool,
// which would hide one behind the others.
func (d *dataset) eachServer(ctx context.Context, name string) iter.Seq2[oneServer, error] {
	return func(yield func(oneServer, error) bool) {
		m := d.config.Models[name]
		if m.Kind == kindScenes {
			yield(oneServer{title: "in the box", model: scenes.New()}, nil)
			return
		}
		addresses := m.addresses()
		if len(m.Serve.Command) > 0 {
			group, err := servers.New(d.config.serverOptions(name, d.log))
			if err != nil {
				yield(oneServer{title: "started"}, err)
				return
			}
			defer group.Stop()
			group.Start()
			if err := group.Ready(ctx); err != nil && ctx.Err() != nil {
				yield(oneServer{title: "started"}, err)
				return
			}
			for i := range group.Len() {
				address, err := group.Address(i)
				if err != nil {
					var failure *runtime.Error
					if errors.As(err, &failure) { // it does not know the model
						err = errors.Join(failure.Err)
					}
					if !yield(oneServer{title: group.Name(i)}, err) {
						return
					}
					continue
				}
				addresses = append(addresses, address+m.base())
			}
		}
		for _, address := range addresses {
			c, err := d.config.dial(name, address)
			if err != nil {
				yield(oneServer{title: address}, err)
				return
			}
			more := yield(oneServer{address, c, c.Check}, nil)
			c.Close()
			if !more {
				return
			}
		}
	}
}

// probe is a sample pair with all slots filled: what a build shows models.
type probe struct {
	texts map[irgdata.Slot]string
	image runtime.Part
}

func newProbe() (probe, error) {
	caption, picture := scenes.Sample(1, 0)
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return probe{}, err
	}
	ref, err := images.Probe(encoded.Bytes())
	if err != nil {
		return probe{}, err
	}
	return probe{
		texts: map[irgdata.Slot]string{
			irgdata.SlotPrompt:        caption,
			irgdata.SlotDraftThinking: "<think>The picture shows " + caption + ".</think>",
			irgdata.SlotThinking:      "<think>The picture shows " + caption + ".</think>",
			irgdata.SlotReflection:    "The previous image is soft. Sharpen it, and keep the rest.",
		},
		image: runtime.ImagePart(ref, encoded.Bytes()),
	}, nil
}

// ask makes a step's call, short and small. A text that hit its limit is what
// was wanted; a whole one is shown to later steps.
func (p probe) ask(ctx context.Context, m runtime.Model, step modes.Step, d *dataset) (string, error) {
	r := runtime.Request{Want: step.Want(), Sampling: step.Sampling, Context: p.parts(step.Context, d), Negative: p.parts(step.Negative, d)}
	r.Sampling.Seed = 1
	if step.Want() == runtime.Paint {
		r.Sampling.Steps, r.Sampling.Width, r.Sampling.Height = 2, d.config.Image.Width, d.config.Image.Height
	} else {
		r.Sampling.MaxTokens = 32
	}
	a, err := m.Generate(ctx, r)
	var failure *runtime.Error
	switch {
	case errors.As(err, &failure) && failure.Kind == runtime.Truncated:
		return "writes", nil
	case err != nil:
		return "", err
	case step.Sampling.Candidates > 0 && len(a.First) == 0:
		return "writes: " + shorten(a.Text, 50) + " (no log-probabilities: answers are yes or no, without degrees)", nil
	case step.Sampling.Candidates > 0:
		return "writes: " + shorten(a.Text, 50) + " (with log-probabilities)", nil
	case step.Role == modes.RoleJudge || step.Want() == runtime.Text && step.Fills == irgdata.SlotPrompt:
		return "writes: " + shorten(a.Text, 50), nil
	case step.Want() == runtime.Text:
		p.texts[step.Fills] = a.Text
		return "writes: " + shorten(a.Text, 50), nil
	}
	ref, err := images.Probe(a.Image)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("paints: %d×%d %s", ref.Width, ref.Height, ref.Format), nil
}

func (p probe) parts(segments []modes.Segment, d *dataset) []runtime.Part {
	var parts []runtime.Part
	for _, seg := range segments {
		switch {
		case seg.Template != "":
			parts = append(parts, runtime.TextPart(d.prompts.Get(seg.Template).RenderQuoting(p.texts[irgdata.SlotPrompt], p.texts[irgdata.SlotReflection])))
		case seg.Slot.IsImage():
			parts = append(parts, p.image)
		default:
			parts = append(parts, runtime.TextPart(p.texts[seg.Slot]))
		}
	}
	return parts
}

// oneLine is an error's text in one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

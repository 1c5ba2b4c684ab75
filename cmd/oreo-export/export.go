package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/manifest"
)

func exportCommand(kind manifest.Kind, usage string) *urfave.Command {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "model", Required: true, Usage: "model `DIR` in Hugging Face form: config.json, safetensors, tokenizer"},
		&urfave.StringFlag{Name: "out", Required: true, Usage: "artifact `DIR` to make; an earlier artifact there is replaced"},
		&urfave.StringFlag{Name: "dtype", Value: string(graph.FP32), Usage: "weights as fp32, fp16 (for GPUs), int8 or int4"},
		&urfave.StringFlag{Name: "attention", Usage: "`FORM` of the graph: grouped decodes faster on CPUs, standard suits GPUs; default: grouped where the model allows, but for fp16"},
	}
	if kind == manifest.Policy {
		flags = append(flags, &urfave.StringFlag{Name: "critic", Usage: "`DIR` of a critic that is an adapter (critic_kind lora) or a head (critic_kind head) on the model's backbone: both go into one artifact and share their weights"})
	}
	return &urfave.Command{
		Name:   string(kind),
		Usage:  usage,
		Before: cli.NoArgs,
		Flags:  flags,
		Action: func(c *urfave.Context) error {
			cfg := export.Config{
				Kind: kind, Model: c.String("model"), Critic: c.String("critic"), Out: c.String("out"), Precision: graph.Precision(c.String("dtype")),
				Attention: graph.Attention(c.String("attention")),
				Step:      func(text string) { fmt.Fprintln(c.App.ErrWriter, text) },
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			if err := export.Run(c.Context, cfg); err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "%s %s: check it with `oreo-export verify %s`\n", kind, cfg.Out, cfg.Out)
			return nil
		},
	}
}

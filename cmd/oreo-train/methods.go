package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train"
)

func sftCommand() *urfave.Command {
	cfg := train.DefaultSFT()
	return &urfave.Command{
		Name:        "sft",
		Usage:       "supervised fine-tuning on prompt/response or conversation records",
		UsageText:   "oreo-train sft --set model=HF_DIR data=train.jsonl out=runs/sft",
		Description: config.Describe(&cfg),
		Flags:       config.Flags(),
		Action: func(c *urfave.Context) error {
			return run(c, "sft", &cfg, &cfg.Config, func(ctx context.Context, ui train.UI) error { return train.SFT(ctx, cfg, ui) })
		},
	}
}

func oreoCommand() *urfave.Command {
	cfg := train.DefaultOREO()
	return &urfave.Command{
		Name:        "oreo",
		Usage:       "train a policy and its critic on sampled responses with rewards",
		UsageText:   "oreo-train oreo --set model=runs/sft data=samples.jsonl out=runs/oreo",
		Description: config.Describe(&cfg),
		Flags:       config.Flags(),
		Action: func(c *urfave.Context) error {
			return run(c, "oreo", &cfg, &cfg.Config, func(ctx context.Context, ui train.UI) error { return train.OREO(ctx, cfg, ui) })
		},
	}
}

// run loads the configuration, trains, and leaves the configuration beside the
// model. cfg points to the method's configuration, shared to its common part.
func run(c *urfave.Context, label string, cfg any, shared *train.Config, method func(context.Context, train.UI) error) error {
	if err := config.FromContext(c, cfg); err != nil {
		return err
	}
	ui := &console{label: label}
	err := method(c.Context, ui)
	ui.close()
	if err != nil {
		return err
	}
	return config.Write(cfg, filepath.Join(shared.Out, "train.yaml"))
}

func initCommand() *urfave.Command {
	cfg := train.DefaultInit()
	return &urfave.Command{
		Name:        "init",
		Usage:       "make a small model from nothing: random weights, and a tokenizer learnt from the data",
		UsageText:   "oreo-train init --set data=train.jsonl out=models/new",
		Description: config.Describe(&cfg),
		Flags:       config.Flags(),
		Action: func(c *urfave.Context) error {
			if err := config.FromContext(c, &cfg); err != nil {
				return err
			}
			made, err := train.Init(cfg)
			if errors.Is(err, os.ErrExist) {
				return cli.Usage(err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "%s: %s, %d parameters, %d tokens in the vocabulary\n", cfg.Out, made.Arch, made.NumParams(model.LMHead), made.Vocab)
			return nil
		},
	}
}

// checkConfig says what check-data reads.
type checkConfig struct {
	Model string   `yaml:"model" required:"true" doc:"folder of the model whose tokenizer and chat template are used"`
	Data  []string `yaml:"data" required:"true" doc:"JSONL files of records"`
	Show  int      `yaml:"show" range:"[0,)" doc:"records to print, decoded, with prompt, actions and steps marked"`
}

func checkDataCommand() *urfave.Command {
	cfg := checkConfig{Show: 2}
	return &urfave.Command{
		Name:        "check-data",
		Usage:       "read a data set as training would, print what the masks cover and the counts",
		UsageText:   "oreo-train check-data --set model=HF_DIR data=train.jsonl",
		Description: config.Describe(&cfg),
		Flags:       config.Flags(),
		Action: func(c *urfave.Context) error {
			if err := config.FromContext(c, &cfg); err != nil {
				return err
			}
			return train.CheckData(c.App.Writer, cfg.Model, cfg.Data, cfg.Show, cli.Color(os.Stdout))
		},
	}
}

// console shows a run: notes as lines, updates as a progress bar.
type console struct {
	label string
	bar   *cli.Progress
}

func (c *console) Progress(step, total int, note string) {
	if c.bar == nil {
		c.bar = cli.NewProgress(c.label, int64(step-1), int64(total))
	}
	c.bar.Set(int64(step), note)
}

func (c *console) Notef(format string, args ...any) {
	if c.bar != nil {
		c.bar.Printf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (c *console) close() {
	if c.bar != nil {
		c.bar.Close()
	}
}

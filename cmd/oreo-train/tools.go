package main

import (
	"errors"
	"fmt"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train"
)

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

func mergeCommand() *urfave.Command {
	cfg := train.DefaultMerge()
	return &urfave.Command{
		Name:        "merge",
		Usage:       "add a LoRA adapter to its base and save the whole model",
		UsageText:   "oreo-train merge --set adapter=runs/sft/adapter out=models/merged",
		Description: config.Describe(&cfg),
		Flags:       config.Flags(),
		Action: func(c *urfave.Context) error {
			if err := config.FromContext(c, &cfg); err != nil {
				return err
			}
			made, err := train.Merge(cfg)
			if errors.Is(err, os.ErrExist) {
				return cli.Usage(err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.App.Writer, "%s: %s, %d layers, the adapter merged\n", cfg.Out, made.Arch, made.Layers)
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

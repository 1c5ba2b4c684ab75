package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/train"
)

// dryRunFlag is the flag that asks for dryRun.
func dryRunFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "dry-run", Usage: "read configuration and data, say what the run would do and need, and end"}
}

// dryRun prints the plan of the run that cfg, a method's configuration, is for.
func dryRun(c *urfave.Context, name string, cfg any) error {
	ui := &console{label: name}
	defer ui.close()
	plan, err := train.MakePlan(cfg, ui)
	if err != nil {
		return err
	}
	return plan.Write(c.App.Writer)
}

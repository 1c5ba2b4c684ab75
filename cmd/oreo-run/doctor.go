package main

import (
	"fmt"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	urfave "github.com/urfave/cli/v2"
)

func doctorCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "doctor",
		Usage:  "say which libraries and devices were found, and what to do about what is missing",
		Before: cli.NoArgs,
		Action: func(c *urfave.Context) error {
			fmt.Fprintln(c.App.Writer, "oreo-run", c.App.Version)
			return nil
		},
	}
}

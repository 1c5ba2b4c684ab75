package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/export/inspect"
)

func inspectCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "inspect",
		Usage:     "describe an artifact, and check its graph against config.json with an independent ONNX reader",
		ArgsUsage: "DIR",
		Action: func(c *urfave.Context) error {
			dir, err := folder(c)
			if err != nil {
				return err
			}
			return inspect.Run(c.Context, c.App.Writer, dir)
		},
	}
}

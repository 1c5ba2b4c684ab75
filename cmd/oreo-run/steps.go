package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func stepsCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "steps",
		Usage: "cut responses into reasoning steps",
		Description: `Reads {"response"} a line and writes {"steps": [...]} a line. In newline mode
the steps are the lines, without their newline; in period mode each step keeps
the newline, ". " or ".$ " that ends it.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "mode", Value: step.Newline.String(), Usage: "what ends a step: newline or period"},
			&urfave.StringFlag{Name: "in", Value: "-", Usage: "JSONL `FILE` (.gz too); - is standard input"},
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE`; - is standard output"},
		},
		Action: func(c *urfave.Context) error {
			mode, err := step.ParseMode(c.String("mode"))
			if err != nil {
				return cli.Usage(err)
			}
			return splitFile(mode, c.String("in"), c.String("out"))
		},
	}
}

func splitFile(mode step.Mode, in, out string) (err error) {
	w, err := jsonl.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = finish(w, err) }()
	type record struct {
		Response *string `json:"response"`
	}
	n := 0
	for r, err := range jsonl.Read[record](in) {
		n++
		if err != nil {
			return err
		}
		if r.Response == nil {
			return fmt.Errorf(`%s: record %d: field "response" is missing`, in, n)
		}
		err = w.Write(struct {
			Steps []string `json:"steps"`
		}{step.Lines(*r.Response, mode)})
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("%s: no records: the file is empty", in)
	}
	return nil
}

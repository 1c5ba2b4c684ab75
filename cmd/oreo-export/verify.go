package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/ort"
)

func verifyCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "verify",
		Usage:     "run an artifact whole, in chunks, with a cache and as a ragged batch, and compare with its reference values",
		ArgsUsage: "DIR",
		Action: func(c *urfave.Context) error {
			dir, err := folder(c)
			if err != nil {
				return err
			}
			checks, err := export.Verify(c.Context, dir, openGraph)
			printChecks(c.App.Writer, checks)
			if err == nil {
				fmt.Fprintln(c.App.Writer, "ok")
			}
			return err
		},
	}
}

// folder is the one argument of a command.
func folder(c *urfave.Context) (string, error) {
	if c.NArg() != 1 {
		return "", cli.Usage(errors.New("one artifact folder is needed"))
	}
	return c.Args().First(), nil
}

func printChecks(w io.Writer, checks []export.Check) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, c := range checks {
		if i == 0 {
			fmt.Fprintln(t, "reference\tmodel\tmode\tpositions\tmax |diff|\tbound\tKL mean\tKL max\ttop-1\t")
		}
		bound, verdict := "-", ""
		if c.Limit > 0 {
			bound = fmt.Sprintf("%.1e", c.Limit)
		}
		if len(c.Failed) > 0 {
			verdict = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.2e\t%s\t", c.Reference, c.Kind, c.Mode, c.Positions, c.MaxAbs, bound)
		if c.Kind == manifest.Policy {
			fmt.Fprintf(t, "%.2e\t%.2e\t%.1f %%\t%s\n", c.MeanKL, c.MaxKL, 100*c.Top1, verdict)
		} else {
			fmt.Fprintf(t, "-\t-\t-\t%s\n", verdict)
		}
	}
	_ = t.Flush()
}

// session is an onnxruntime session as package export drives it.
type session struct{ *ort.Session }

func openGraph(path string, m *manifest.Manifest, width int) (export.Runner, error) {
	s, err := ort.Open(path, engine.Spec{Width: width, Vocab: m.Dims.Vocab, MaxPositions: m.Dims.MaxPositions}, ort.Options{})
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

func (s session) Reset(rows, slots int) error {
	return errors.Join(s.Store().Resize(0, 0, nil), s.Store().Resize(rows, slots, make([]int, rows)))
}

func (s session) Forward(p export.Pass) ([]float32, error) {
	return s.Session.Forward(&engine.Batch{B: p.B, S: p.S, IDs: p.IDs, Pos: p.Positions, Write: p.Write, Used: p.NonpadKV, Out: p.OutRows})
}

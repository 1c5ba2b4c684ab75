package main

import (
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/math/data"
	"github.com/oreo-go/oreo/runtime/traj"
)

func selectCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "select",
		Usage: "choose training sets among collected samples by the paper's rules",
		Description: `Reads trajectories as collect writes them and keeps some of each problem's:
recipe 1.5b all of the first 10, at most 6 preference pairs; recipe 7b of the
first 16 at most 4 right and 4 wrong ones, no more right than wrong, at most 10
pairs (arXiv 2412.16145, appendix A.1).`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "in", Required: true, Usage: "JSONL `FILE` (.gz too) of trajectories; - is standard input"},
			&urfave.StringFlag{Name: "recipe", Value: "1.5b", Usage: "1.5b or 7b"},
			&urfave.Uint64Flag{Name: "seed", Usage: "for the random choices"},
			&urfave.BoolFlag{Name: "drop-truncated", Usage: "leave out samples cut by a length limit; the paper counts them as wrong"},
			&urfave.StringFlag{Name: "out", Usage: "JSONL `FILE` of trajectories, for OREO and rejection sampling"},
			&urfave.StringFlag{Name: "pairs", Usage: `JSONL FILE of {"prompt", "chosen", "rejected"}, for DPO`},
			&urfave.StringFlag{Name: "labels", Usage: `JSONL FILE of {"prompt", "response", "label"}, for KTO`},
		},
		Action: func(c *urfave.Context) error {
			recipe, err := data.ParseRecipe(c.String("recipe"))
			if err != nil {
				return cli.Usage(err)
			}
			recipe.Seed, recipe.DropTruncated = c.Uint64("seed"), c.Bool("drop-truncated")
			queries, err := readQueries(c.String("in"))
			if err != nil {
				return err
			}
			set, err := data.Build(recipe, queries)
			if err != nil {
				return err
			}
			return writeSet(c.App.Writer, set, c.String("out"), c.String("pairs"), c.String("labels"))
		},
	}
}

// readQueries groups trajectories by prompt, in the order of first appearance.
func readQueries(in string) ([]data.Query, error) {
	places := map[string]int{}
	var queries []data.Query
	n := 0
	for r, err := range traj.Read(in, true) {
		if n++; err != nil {
			return nil, err
		}
		if r.Prompt == "" {
			return nil, fmt.Errorf(`%s: record %d: field "prompt" is missing: conversations cannot be grouped by problem`, in, n)
		}
		i, ok := places[r.Prompt]
		if !ok {
			i = len(queries)
			places[r.Prompt] = i
			queries = append(queries, data.Query{ID: r.Prompt, Prompt: r.Prompt})
		}
		sample := data.Sample{Response: r.Response, Correct: *r.Reward > 0.5, Truncated: r.Truncated}
		queries[i].Samples = append(queries[i].Samples, sample)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s: no records: the file is empty", in)
	}
	return queries, nil
}

func writeSet(console io.Writer, set data.Set, trajectories, pairs, labels string) error {
	if err := writeRecords(trajectories, set.Trajectories); err != nil {
		return err
	}
	if err := writeRecords(pairs, set.Pairs); err != nil {
		return err
	}
	if err := writeRecords(labels, set.Labels); err != nil {
		return err
	}
	header, rows := set.Summary.Table()
	return report.WriteTable(console, header, rows)
}

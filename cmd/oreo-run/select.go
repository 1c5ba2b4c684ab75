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
		Description: `Reads trajectories as collect and alfworld rollout write them and keeps some of
each task's (arXiv 2412.16145, appendix A.1):

  1.5b      all of the first 10, at most 6 preference pairs
  7b        of the first 16 at most 4 right and 4 wrong ones, no more right than
            wrong, at most 10 pairs
  alfworld  all of the first 5, at most 5 pairs

Responses to one prompt belong to one task, and so do conversations with the
same field game or, without it, the same messages before the first assistant
turn, not counting an opening that all conversations share.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "in", Required: true, Usage: "JSONL `FILE` (.gz too) of trajectories; - is standard input"},
			&urfave.StringFlag{Name: "recipe", Value: "1.5b", Usage: "1.5b, 7b or alfworld"},
			&urfave.Uint64Flag{Name: "seed", Usage: "for the random choices"},
			&urfave.BoolFlag{Name: "drop-truncated", Usage: "leave out samples cut by a length limit; the paper counts them as wrong"},
			&urfave.StringFlag{Name: "out", Usage: "JSONL `FILE` of trajectories, for OREO and rejection sampling"},
			&urfave.StringFlag{Name: "pairs", Usage: `JSONL FILE of {"prompt", "chosen", "rejected"} or of conversations {"chosen", "rejected"}, for DPO`},
			&urfave.StringFlag{Name: "labels", Usage: `JSONL FILE of {"prompt", "response", "label"} or {"conversations", "label"}, for KTO`},
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

// readQueries groups trajectories by task, in the order of first appearance.
func readQueries(in string) ([]data.Query, error) {
	var records []traj.Record
	var opening traj.Opening
	for r, err := range traj.Read(in, true) {
		if err != nil {
			return nil, err
		}
		records = append(records, r)
		if r.Error == "" {
			opening.Add(r.Conversations)
		}
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%s: no records: the file is empty", in)
	}
	places := map[string]int{}
	var queries []data.Query
	for _, r := range records {
		id := task(&r, opening.Turns())
		i, ok := places[id]
		if !ok {
			i = len(queries)
			places[id] = i
			queries = append(queries, data.Query{ID: id})
		}
		queries[i].Samples = append(queries[i].Samples, r)
	}
	return queries, nil
}

// task names what a trajectory was to solve. The first given assistant turns of
// a conversation are part of it.
func task(r *traj.Record, given int) string {
	if len(r.Conversations) == 0 {
		return r.Prompt
	}
	if r.Game != "" { // and what the agent was told: two protocols make no pair
		return fmt.Sprintf("%s %q", r.Game, traj.Before(r.Conversations, 0))
	}
	return fmt.Sprintf("%q", traj.Before(r.Conversations, given))
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

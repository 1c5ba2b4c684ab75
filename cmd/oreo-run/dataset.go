package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/dataset"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

func datasetCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "dataset",
		Usage: "read GSM8K, MATH or MATH500 from where you keep them: problems for collect and eval, demonstrations for SFT",
		Description: `Reads JSONL (.gz too), Parquet, or MATH's folder of one JSON file a problem.
No data set comes with this program.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "in", Required: true, Usage: "`FILE` or folder of the data set"},
			&urfave.StringFlag{Name: "problems", Usage: "JSONL `FILE` to write: {id, question, answer, dataset, …}"},
			&urfave.StringFlag{Name: "demonstrations", Usage: "JSONL `FILE` to write: the data set's own solutions as SFT records"},
			&urfave.StringFlag{Name: "format", Value: plainFormat, Usage: "of the demonstrations' prompts: as in collect"},
			&urfave.StringFlag{Name: "system", Usage: "system message, with --format chat"},
			&urfave.IntFlag{Name: "limit", Usage: "take the first `N` problems only; 0: all"},
		},
		Action: runDataset,
	}
}

func runDataset(c *urfave.Context) error {
	if !c.IsSet("problems") && !c.IsSet("demonstrations") {
		return cli.Usagef("nothing to write: give --problems, --demonstrations or both")
	}
	ask, _, err := promptFormat(c.String("format"), c.String("system"))
	if err != nil {
		return cli.Usage(err)
	}
	all, err := dataset.ReadAll(c.String("in"))
	if err != nil {
		return err
	}
	if warning := dataset.CheckSize(all[0].Dataset, len(all)); warning != "" {
		fmt.Fprintln(c.App.ErrWriter, "note:", warning)
	}
	if n := c.Int("limit"); n > 0 && n < len(all) {
		all = all[:n]
	}
	if path := c.String("problems"); path != "" {
		if err := writeAll(path, all, func(p dataset.Problem) any { return p }); err != nil {
			return err
		}
	}
	if path := c.String("demonstrations"); path != "" {
		return writeAll(path, all, func(p dataset.Problem) any {
			record := traj.Record{ID: p.ID, Dataset: p.Dataset}
			if prompt := ask(problem{Question: p.Question}); prompt.Messages != nil {
				record.Conversations = append(prompt.Messages, chat.Message{Role: "assistant", Content: p.Solution})
			} else {
				record.Prompt, record.Response = prompt.Text, p.Solution
			}
			return record
		})
	}
	return nil
}

func writeAll(path string, problems []dataset.Problem, line func(dataset.Problem) any) (err error) {
	w, err := jsonl.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = finish(w, err) }()
	for _, p := range problems {
		if err := w.Write(line(p)); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/dataset"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/chat"
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
	if err := writeRecords(c.String("problems"), all); err != nil {
		return err
	}
	demonstrations := make([]traj.Record, len(all))
	for i, p := range all {
		demonstrations[i] = demonstration(p, ask(problem{Question: p.Question}))
	}
	return writeRecords(c.String("demonstrations"), demonstrations)
}

// demonstration is the data set's own solution as a record for SFT.
func demonstration(p dataset.Problem, prompt runtime.Prompt) traj.Record {
	record := traj.Record{ID: p.ID, Dataset: p.Dataset}
	if prompt.Messages != nil {
		record.Conversations = append(prompt.Messages, chat.Message{Role: "assistant", Content: p.Solution})
	} else {
		record.Prompt, record.Response = prompt.Text, p.Solution
	}
	return record
}

// Command oreo-demo walks the whole road on a laptop: it makes word problems,
// trains a small model from nothing, lets it sample, trains it by OREO, exports
// policy and critic, and lets them search. Every stage is a command that a user
// could type, and is shown as it runs; `make demo` runs this.
package main

import (
	"context"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/stage"
)

func main() {
	cli.Main(&urfave.App{
		Name:  "oreo-demo",
		Usage: "train, export and search with a small model made from nothing, and report what each stage gained",
		Description: `Stages that are done are not done again: after an interruption the same
command goes on where it stopped.`,
		Version: cli.Version(),
		Before:  cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "out", Usage: "`DIR` for data, models, results and report.html", Value: "out/demo"},
			&urfave.Uint64Flag{Name: "seed", Usage: "of the problems, the weights and all draws", Value: 1},
			&urfave.IntFlag{Name: "threads", Usage: "CPU cores to use; 0: all"},
			&urfave.BoolFlag{Name: "tiny", Usage: "a hundredth of the work, to see that every stage runs; the model learns nothing"},
		},
		Action: func(c *urfave.Context) error {
			r := standard()
			if c.Bool("tiny") {
				r = tiny()
			}
			r.seed, r.threads = c.Uint64("seed"), c.Int("threads")
			return run(c.Context, r, c.String("out"))
		},
	})
}

// run makes every stage and reports.
func run(ctx context.Context, r recipe, out string) error {
	runner, err := stage.Here(out)
	if err != nil {
		return err
	}
	d := &demo{recipe: r, Runner: runner}
	if err := d.Run(ctx, d.stages()); err != nil {
		return err
	}
	return d.report(os.Stdout)
}

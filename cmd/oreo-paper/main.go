// Command oreo-paper repeats the paper's experiments in miniature: its tables
// and figures with models made from nothing, on generated word problems and in
// generated households, every step being a command that a user could type. It
// ends with a line for each finding of the paper, and whether it holds here.
// `make paper` runs this.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/stage"
)

func main() {
	cli.Main(&urfave.App{
		Name:  "oreo-paper",
		Usage: "the paper in miniature: its tables, figures and findings with small models made from nothing",
		Description: `Every seed is a folder of stages; what is done is not done again, so that the
same command goes on after an interruption. With several seeds, --jobs of them
run side by side, each on --threads cores, and write to OUT/seed-N/PART/log.`,
		Version: cli.Version(),
		Before:  cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "out", Usage: "`DIR` for data, models, results, report.html and report.json", Value: "out/paper"},
			&urfave.IntFlag{Name: "seeds", Usage: "`N` seeds, 1 to N", Value: 5},
			&urfave.IntFlag{Name: "only", Usage: "run seed `N` alone and report nothing: seeds can be spread over machines that share OUT"},
			&urfave.StringSliceFlag{Name: "part", Usage: "math, alfworld", Value: urfave.NewStringSlice(mathPart, alfworldPart)},
			&urfave.IntFlag{Name: "jobs", Usage: "experiments at once", Value: 2},
			&urfave.IntFlag{Name: "threads", Usage: "CPU cores of each; 0: all", Value: 1},
			&urfave.StringFlag{Name: "games", Usage: "`DIR` of the real games (train, valid_seen, valid_unseen) in place of generated ones", EnvVars: []string{"OREO_ALFWORLD"}},
			&urfave.BoolFlag{Name: "tune", Usage: "only compare the settings of every method's grid, on a seed of its own, and write OUT/tuning.json"},
			&urfave.StringFlag{Name: "tuning", Usage: "JSON `FILE` of --tune whose best settings are used; without it, those that come with the program"},
			&urfave.BoolFlag{Name: "report", Usage: "only report what is there"},
			&urfave.BoolFlag{Name: "tiny", Usage: "a hundredth of the work, to see that every stage runs; the models learn nothing"},
		},
		Action: func(c *urfave.Context) error {
			p, err := configured(c)
			if err != nil {
				return err
			}
			if c.Bool("tune") {
				return p.tune(c.Context)
			}
			if only := c.Int("only"); only > 0 {
				return p.run(c.Context, p.experiments(only, only))
			}
			if !c.Bool("report") {
				if err := p.run(c.Context, p.experiments(1, p.seeds)); err != nil {
					return err
				}
			}
			return p.report(os.Stdout)
		},
	})
}

// Parts of the paper.
const (
	mathPart     = "math"
	alfworldPart = "alfworld"
)

// paper is a run over seeds.
type paper struct {
	recipe
	out   string
	bin   string
	parts []string
	seeds int
	jobs  int
}

func configured(c *urfave.Context) (*paper, error) {
	runner, err := stage.Here(c.String("out"))
	if err != nil {
		return nil, err
	}
	p := &paper{recipe: standard(), out: c.String("out"), bin: runner.Bin, parts: c.StringSlice("part"), seeds: c.Int("seeds"), jobs: c.Int("jobs")}
	if c.Bool("tiny") {
		p.recipe = tiny()
	}
	p.threads, p.games = c.Int("threads"), c.String("games")
	if a := &p.alfworld; p.games != "" { // full rooms: the paper's limit
		a.turns, a.expertTurns, a.model.positions = 40, 40, 4096
	}
	switch {
	case p.seeds < 1:
		return nil, cli.Usagef("--seeds is %d, want 1 or more", p.seeds)
	case p.jobs < 1:
		return nil, cli.Usagef("--jobs is %d, want 1 or more", p.jobs)
	}
	for _, part := range p.parts {
		if part != mathPart && part != alfworldPart {
			return nil, cli.Usagef("--part %q: want %s or %s", part, mathPart, alfworldPart)
		}
	}
	p.tuned, err = readTuning(c.String("tuning"))
	return p, err
}

// experiment is one part of the paper with one seed.
type experiment struct {
	*paper
	stage.Runner
	part string
	seed uint64
}

func (p *paper) experiment(part string, seed uint64) *experiment {
	dir := filepath.Join(p.out, fmt.Sprintf("seed-%d", seed), part)
	return &experiment{paper: p, Runner: stage.Runner{Dir: dir, Bin: p.bin}, part: part, seed: seed}
}

// experiments of the seeds first to last.
func (p *paper) experiments(first, last int) (all []*experiment) {
	for _, part := range p.parts {
		for seed := first; seed <= last; seed++ {
			all = append(all, p.experiment(part, uint64(seed)))
		}
	}
	return all
}

// stages is the list of what an experiment does.
func (e *experiment) stages() []stage.Stage {
	if e.part == mathPart {
		return e.mathStages()
	}
	return e.alfworldStages()
}

// run does experiments, some at once.
func (p *paper) run(ctx context.Context, all []*experiment) error {
	if err := p.trainAgent(ctx); err != nil {
		return err
	}
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	for _, e := range all {
		g.Go(func() error {
			if running.Err() != nil {
				return running.Err()
			}
			name := fmt.Sprintf("%s, seed %d", e.part, e.seed)
			if p.jobs > 1 && len(all) > 1 {
				if err := os.MkdirAll(e.Dir, 0o755); err != nil {
					return err
				}
				log, err := os.OpenFile(e.Path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
				if err != nil {
					return err
				}
				defer log.Close()
				e.Log = log
				fmt.Fprintf(os.Stderr, "%s: begun; see %s\n", name, e.Path("log"))
			}
			if err := e.Run(running, e.stages()); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "%s: done\n", name)
			return nil
		})
	}
	return g.Wait()
}

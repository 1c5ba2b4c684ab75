package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/traj"
)

func collectCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "collect",
		Usage: "draw graded samples for every problem: training data for OREO",
		Description: `Writes trajectories {prompt, response, reward, …} with reward 1 for a right
answer and 0 for a wrong one. Finished problems are kept in OUT.part as they
come; after an interruption the same command goes on from there.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			&urfave.StringFlag{Name: "out", Required: true, Usage: "JSONL `FILE` of trajectories"},
			&urfave.IntFlag{Name: "n", Value: 10, Usage: "samples per problem (the paper: 10 for 1.5B models, 16 for 7B)"},
		}, problemFlags(), samplingFlags(1, 512), []urfave.Flag{stopFlag()}, deviceFlags()),
		Action: func(c *urfave.Context) error {
			set, err := readProblems(c, true)
			if err != nil {
				return err
			}
			cfg := collectConfig{N: c.Int("n"), Out: c.String("out"), Set: set}
			if cfg.Generate, err = generateConfig(c); err != nil {
				return err
			}
			cfg.Generate.Stop = append(cfg.Generate.Stop, set.stops...)
			if err := positive(c, "n"); err != nil {
				return err
			}
			policy, err := runtime.OpenPolicy(c.String("model"), deviceOptions(c))
			if err != nil {
				return err
			}
			defer policy.Close()
			return collect(c.Context, policy, cfg)
		},
	}
}

type collectConfig struct {
	N        int // samples per problem
	Out      string
	Set      *problemSet
	Generate runtime.GenerateConfig
}

// collect draws, grades and writes. What is finished is safe from then on.
func collect(ctx context.Context, policy *runtime.Policy, cfg collectConfig) error {
	part, err := openPart(cfg.Out+".part", fingerprint(policy, cfg), len(cfg.Set.problems))
	if err != nil {
		return err
	}
	defer part.Close()
	total := len(cfg.Set.problems)
	progress := cli.NewProgress("collect", int64(part.Count()), int64(total))
	var right, all tally
	err = each(ctx, total, policy.MaxRows(), func(ctx context.Context, i int) error {
		if part.Has(i) {
			return nil
		}
		records, correct, err := collectOne(ctx, policy, cfg, i)
		if err != nil {
			return fmt.Errorf("problem %s: %w", cfg.Set.name(i), err)
		}
		if err := part.Add(i, records); err != nil {
			return err
		}
		progress.Set(int64(part.Count()), fmt.Sprintf("%.1f%% right", 100*float64(right.add(correct))/float64(all.add(cfg.N))))
		return nil
	})
	progress.Close()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopped with %d of %d problems in %s: the same command goes on from there", part.Count(), total, part.path)
		}
		return err
	}
	return part.Finish(cfg.Out)
}

// tally is a counter for many goroutines.
type tally struct {
	sync.Mutex
	n int
}

func (t *tally) add(n int) int {
	t.Lock()
	defer t.Unlock()
	t.n += n
	return t.n
}

// collectOne draws the samples of problem i. A sample without text is no
// trajectory and is left out; it still counts in the tally.
func collectOne(ctx context.Context, policy *runtime.Policy, cfg collectConfig, i int) (records []traj.Record, correct int, err error) {
	p := cfg.Set.problems[i]
	prompt := cfg.Set.prompt(p)
	text, err := policy.Render(prompt)
	if err != nil {
		return nil, 0, err
	}
	gen := cfg.Generate
	gen.Question = uint64(i)
	answers, err := policy.Sample(ctx, prompt, cfg.N, gen)
	if err != nil {
		return nil, 0, err
	}
	for k, a := range answers {
		if a.Text == "" {
			continue
		}
		reward := 0.0
		if cfg.Set.correct(i, a.Text) {
			reward = 1
			correct++
		}
		records = append(records, traj.Record{
			ID: fmt.Sprintf("%s/%d", cfg.Set.name(i), k), Prompt: text, Response: a.Text, Reward: &reward,
			Truncated: a.Finish == runtime.FinishLength, Question: p.Question, Answer: p.Answer, Dataset: p.Dataset,
		})
	}
	return records, correct, nil
}

// fingerprint names everything that shapes the samples, so that a part file is
// not continued with other settings.
func fingerprint(policy *runtime.Policy, cfg collectConfig) string {
	problems := sha256.New()
	for _, p := range cfg.Set.problems {
		fmt.Fprintf(problems, "%q %+v\n", p, cfg.Set.prompt(p))
	}
	return fmt.Sprintf("model %.12s, problems %.12x (%d, grader %s), %d samples each, %+v",
		policy.Source(), problems.Sum(nil), len(cfg.Set.problems), cfg.Set.style, cfg.N, cfg.Generate)
}

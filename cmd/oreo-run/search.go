package main

import (
	"context"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/search"
)

func searchCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "search",
		Usage:  "answer questions by step-level beam search with a critic",
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			criticFlag(true),
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE` of answers; - is standard output"},
			&urfave.StringFlag{Name: "trace", Usage: "JSONL `FILE` for the search trees, a node a line"},
		}, problemFlags(), searchFlags(), samplingFlags(1, 1024), deviceFlags()),
		Action: func(c *urfave.Context) error {
			set, err := readProblems(c, false)
			if err != nil {
				return err
			}
			cfg, err := searchConfig(c)
			if err != nil {
				return err
			}
			m, err := openBoth(c, cfg.Width)
			if err != nil {
				return err
			}
			defer m.Close()
			return runSearch(c, m, set, cfg)
		},
	}
}

func criticFlag(required bool) urfave.Flag {
	return &urfave.StringFlag{Name: "critic", Required: required, Usage: "critic `DIR` made by oreo-export critic"}
}

func searchFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "width", Aliases: []string{"beam"}, Value: 5, Usage: "beams `B`, and steps drawn from each"},
		&urfave.IntFlag{Name: "max-steps", Value: 20, Usage: "longest answer in steps"},
		stepFlag(),
	}
}

func searchConfig(c *urfave.Context) (runtime.SearchConfig, error) {
	cfg := runtime.SearchConfig{
		Width: c.Int("width"), MaxSteps: c.Int("max-steps"), MaxNewTokens: c.Int("max-new-tokens"),
		Sample: samplingConfig(c), Seed: c.Uint64("seed"),
	}
	if err := positive(c, "width", "max-steps", "max-new-tokens"); err != nil {
		return cfg, err
	}
	if cfg.Sample.Temperature == 0 {
		return cfg, cli.Usagef("--temperature 0 draws the same step %d times: a search needs more than 0", cfg.Width)
	}
	var err error
	if cfg.Rule, err = stepRule(c); err != nil {
		return cfg, err
	}
	return cfg, cli.Usage(cfg.Sample.Validate())
}

// models are a policy and the critic that guides it.
type models struct {
	policy *runtime.Policy
	critic *runtime.Value
}

// openBoth opens --model and --critic with room for at least one search.
func openBoth(c *urfave.Context, width int) (*models, error) {
	opt := deviceOptions(c)
	opt.MaxRows = max(opt.MaxRows, search.Rows(search.Beam, width))
	policy, err := runtime.OpenPolicy(c.String("model"), opt)
	if err != nil {
		return nil, err
	}
	critic, err := runtime.OpenValue(c.String("critic"), opt)
	if err != nil {
		policy.Close()
		return nil, err
	}
	return &models{policy, critic}, nil
}

func (m *models) Close() {
	m.policy.Close()
	m.critic.Close()
}

// foundAnswer is a line of search's output.
type foundAnswer struct {
	ID       string  `json:"id"`
	Question string  `json:"question"`
	Text     string  `json:"text"`
	Value    float64 `json:"value"`
	LogProb  float64 `json:"logprob"`
	Finished bool    `json:"finished"`
	Correct  *bool   `json:"correct,omitempty"` // where the problem has an answer
	Steps    int     `json:"steps"`
	Tokens   int     `json:"tokens"` // drawn in the whole search
}

// runSearch answers all problems, several at once, and writes the answers in
// the problems' order.
func runSearch(c *urfave.Context, m *models, set *problemSet, cfg runtime.SearchConfig) (err error) {
	w, err := jsonl.Create(c.String("out"))
	if err != nil {
		return err
	}
	defer func() { err = finish(w, err) }()
	var trace *jsonl.Writer
	if path := c.String("trace"); path != "" {
		if trace, err = jsonl.Create(path); err != nil {
			return err
		}
		defer func() { err = finish(trace, err) }()
	}
	answers, nodes := make([]foundAnswer, len(set.problems)), make([][]search.Node, len(set.problems))
	progress := cli.NewProgress("search", 0, int64(len(set.problems)))
	defer progress.Close()
	err = each(c.Context, len(set.problems), m.policy.MaxRows(), func(ctx context.Context, i int) error {
		cfg := cfg
		cfg.Question = uint64(i)
		if trace != nil {
			cfg.Trace = func(n search.Node) { nodes[i] = append(nodes[i], n) }
		}
		answer, err := searchOne(ctx, m, set, i, cfg)
		answers[i] = answer
		progress.Add(1)
		return err
	})
	if err != nil {
		return err
	}
	for i := range answers {
		if err := w.Write(answers[i]); err != nil {
			return err
		}
		for _, n := range nodes[i] {
			if err := trace.Write(n); err != nil {
				return err
			}
		}
	}
	return nil
}

func searchOne(ctx context.Context, m *models, set *problemSet, i int, cfg runtime.SearchConfig) (foundAnswer, error) {
	p := set.problems[i]
	result, err := runtime.Search(ctx, m.policy, m.critic, set.prompt(p), cfg)
	if err != nil {
		return foundAnswer{}, fmt.Errorf("problem %s: %w", set.name(i), err)
	}
	best := result.Best()
	found := foundAnswer{
		ID: set.name(i), Question: p.Question, Text: best.Text, Value: best.Value, LogProb: best.LogProb,
		Finished: best.Finished, Steps: best.Steps, Tokens: result.Tokens,
	}
	if p.Answer != "" {
		correct := set.correct(i, best.Text)
		found.Correct = &correct
	}
	return found, nil
}

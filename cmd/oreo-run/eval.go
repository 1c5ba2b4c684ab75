package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/search"
)

func evalCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "eval",
		Usage: "measure accuracy on a problem set, greedy or by search",
		Description: `Every problem gets one answer, greedy unless --temperature says otherwise; with
--critic, or with a flag of searches where --model holds a critic too, a search:
see oreo-run search.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			criticFlag(),
			&urfave.StringFlag{Name: "out", Usage: "JSON `FILE` for the result"},
			&urfave.StringFlag{Name: "answers", Usage: "JSONL `FILE` for the answers"},
			&urfave.BoolFlag{Name: "json", Usage: "print the result as JSON, not as a table"},
		}, problemFlags(), searchFlags(), samplingFlags(0, 512), []urfave.Flag{stopFlag()}, deviceFlags()),
		Action: func(c *urfave.Context) error {
			result, err := runEval(c)
			if err != nil {
				return err
			}
			return result.print(c)
		},
	}
}

// evalResult is what eval measures. Lo and Hi bound the accuracy with 95 %
// confidence (Wilson).
type evalResult struct {
	Model    string  `json:"model"`
	Problems string  `json:"problems"`
	Method   string  `json:"method"` // greedy, sample, beam, dvts or best-of-n
	Width    int     `json:"width,omitempty"`
	N        int     `json:"n"`
	Correct  int     `json:"correct"`
	Accuracy float64 `json:"accuracy"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Finished int     `json:"finished"` // answers that ended by themselves
	Tokens   int     `json:"tokens"`   // drawn
	Seconds  float64 `json:"seconds"`
}

func runEval(c *urfave.Context) (*evalResult, error) {
	set, err := readProblems(c, true)
	if err != nil {
		return nil, err
	}
	result := &evalResult{Model: c.String("model"), Problems: c.String("problems"), N: len(set.problems)}
	var answer func(ctx context.Context, i int) (foundAnswer, error)
	var rows int
	searches, err := evalFlags(c)
	if err != nil {
		return nil, err
	}
	if searches {
		cfg, m, err := evalSearch(c)
		if err != nil {
			return nil, err
		}
		defer m.Close()
		result.Method, result.Width = string(cfg.Method), cfg.Width
		if cfg.Choice != search.ByValue {
			result.Method += ", " + string(cfg.Choice)
		}
		rows = m.policy.MaxRows()
		answer = func(ctx context.Context, i int) (foundAnswer, error) {
			cfg := cfg
			cfg.Question = uint64(i)
			return searchOne(ctx, m, set, i, cfg)
		}
	} else {
		cfg, err := generateConfig(c)
		if err != nil {
			return nil, err
		}
		cfg.Stop = append(cfg.Stop, set.stops...)
		policy, err := runtime.OpenPolicy(c.String("model"), deviceOptions(c))
		if err != nil {
			return nil, err
		}
		defer policy.Close()
		if result.Method = "greedy"; cfg.Temperature > 0 {
			result.Method = "sample"
		}
		rows = policy.MaxRows()
		answer = func(ctx context.Context, i int) (foundAnswer, error) {
			return generateOne(ctx, policy, set, i, cfg)
		}
	}
	start := time.Now()
	answers := make([]foundAnswer, len(set.problems))
	progress := cli.NewProgress("eval", 0, int64(len(set.problems)))
	err = each(c.Context, len(set.problems), rows, func(ctx context.Context, i int) (err error) {
		answers[i], err = answer(ctx, i)
		progress.Add(1)
		return err
	})
	progress.Close()
	if err != nil {
		return nil, err
	}
	result.Seconds = time.Since(start).Seconds()
	result.count(answers)
	return result, writeRecords(c.String("answers"), answers)
}

// evalFlags tells whether to search: where a critic is named, or the model holds
// one and a flag of searches is given. It refuses flags that the way of answering
// has no use for.
func evalFlags(c *urfave.Context) (searches bool, err error) {
	names := []string{"method", "width", "max-steps", "choice", "aggregate", "budget-tokens", "budget-time", "step"}
	given := slices.IndexFunc(names, c.IsSet)
	switch {
	case given >= 0 && !hasCritic(c):
		return false, cli.Usagef("--%s needs --critic, or a --model that holds a critic too", names[given])
	case given < 0 && c.String("critic") == "":
		return false, nil
	case c.IsSet("stop"):
		return true, cli.Usagef("--stop does not go with a search: steps end where --step says")
	}
	return true, nil
}

// evalSearch is the part of eval that needs a critic. The paper draws steps at
// temperature 1, so that is what a search does unless told otherwise.
func evalSearch(c *urfave.Context) (runtime.SearchConfig, *models, error) {
	if !c.IsSet("temperature") {
		if err := c.Set("temperature", "1"); err != nil {
			return runtime.SearchConfig{}, nil, err
		}
	}
	cfg, err := searchConfig(c)
	if err != nil {
		return cfg, nil, err
	}
	m, err := openBoth(c, cfg)
	return cfg, m, err
}

func generateOne(ctx context.Context, policy *runtime.Policy, set *problemSet, i int, cfg runtime.GenerateConfig) (foundAnswer, error) {
	p := set.problems[i]
	cfg.Question = uint64(i)
	answers, err := policy.Sample(ctx, set.prompt(p), 1, cfg)
	if err != nil {
		return foundAnswer{}, fmt.Errorf("problem %s: %w", set.name(i), err)
	}
	a := answers[0]
	correct := set.correct(i, a.Text)
	found := foundAnswer{
		ID: set.name(i), Question: p.Question, Text: a.Text, Correct: &correct,
		Finished: a.Finish != runtime.FinishLength, Tokens: len(a.IDs),
	}
	for _, x := range a.LogProbs {
		found.LogProb += x
	}
	return found, nil
}

func (r *evalResult) count(answers []foundAnswer) {
	for _, a := range answers {
		if *a.Correct {
			r.Correct++
		}
		if a.Finished {
			r.Finished++
		}
		r.Tokens += a.Tokens
	}
	r.Accuracy = float64(r.Correct) / float64(r.N)
	r.Lo, r.Hi = report.Wilson(r.Correct, r.N)
}

// print writes the result to --out and shows it.
func (r *evalResult) print(c *urfave.Context) error {
	if out := c.String("out"); out != "" {
		if err := report.WriteJSON(out, r); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return writeJSON(c.App.Writer, r)
	}
	return r.table(c.App.Writer)
}

func (r *evalResult) table(w io.Writer) error {
	method := r.Method
	if r.Width > 0 {
		method = fmt.Sprintf("%s, B = %d", r.Method, r.Width)
	}
	return report.WriteTable(w, []string{"method", "right", "of", "accuracy", "95 % interval", "finished", "tokens", "seconds"}, [][]string{{
		method, fmt.Sprint(r.Correct), fmt.Sprint(r.N), fmt.Sprintf("%.1f %%", 100*r.Accuracy),
		fmt.Sprintf("%.1f to %.1f %%", 100*r.Lo, 100*r.Hi), fmt.Sprint(r.Finished), fmt.Sprint(r.Tokens), fmt.Sprintf("%.1f", r.Seconds),
	}})
}

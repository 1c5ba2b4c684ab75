package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/search"
)

func searchCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "search",
		Usage: "answer questions by search with a critic",
		Description: `Methods: beam, the paper's step-level beam search; dvts, trees that do not
compete; best-of-n, whole answers. Of the answers --choice takes the one of the
highest value, or what most of them say, or what those of most value together
say. Ctrl-C ends the searches; what they had found by then is written.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			criticFlag(),
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE` of answers; - is standard output"},
			&urfave.StringFlag{Name: "trace", Usage: "JSONL `FILE` for the search trees, a node a line"},
			&urfave.StringFlag{Name: "html", Usage: "HTML `FILE` that shows the trees with their values"},
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
			m, err := openBoth(c, cfg)
			if err != nil {
				return err
			}
			defer m.Close()
			return runSearch(c, m, set, cfg)
		},
	}
}

func criticFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "critic", Usage: "critic `DIR` made by oreo-export critic; default: the one in --model, made by oreo-export policy --critic"}
}

func searchFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "method", Value: string(search.Beam), Usage: "beam, dvts or best-of-n"},
		&urfave.IntFlag{Name: "width", Aliases: []string{"beam"}, Value: 5, Usage: "beams `B`, and steps drawn from each; trees of dvts; answers of best-of-n"},
		&urfave.IntFlag{Name: "max-steps", Value: 20, Usage: "longest answer in steps"},
		&urfave.StringFlag{Name: "choice", Value: string(search.ByValue), Usage: "value, majority, or weighted: a majority by value"},
		&urfave.StringFlag{Name: "aggregate", Value: string(search.Last), Usage: "last, min or mean: of the values along an answer's steps"},
		&urfave.IntFlag{Name: "budget-tokens", Usage: "most tokens drawn for a question; 0: no bound"},
		&urfave.DurationFlag{Name: "budget-time", Usage: "longest time for a question, such as 30s; 0: no bound"},
		stepFlag(),
	}
}

func searchConfig(c *urfave.Context) (runtime.SearchConfig, error) {
	cfg := runtime.SearchConfig{
		Method: search.Method(c.String("method")), Width: c.Int("width"), MaxSteps: c.Int("max-steps"), MaxNewTokens: c.Int("max-new-tokens"),
		Choice: search.Choice(c.String("choice")), Aggregate: search.Aggregate(c.String("aggregate")),
		Budget: search.Budget{Tokens: c.Int("budget-tokens"), Time: c.Duration("budget-time")},
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
	return cfg, cli.Usage(cfg.Validate())
}

// models are a policy and the critic that guides it, which may be nil.
type models struct {
	policy *runtime.Policy
	critic *runtime.Value
}

// openBoth opens --model and --critic with room for at least one search.
func openBoth(c *urfave.Context, cfg runtime.SearchConfig) (*models, error) {
	opt := deviceOptions(c)
	if cfg.Method != search.BestOfN { // which makes do with what there is
		opt.MaxRows = max(opt.MaxRows, search.Rows(cfg.Method, cfg.Width))
	}
	return openModels(c, opt, true)
}

// openModels opens the policy in --model and the critic in --critic, or, if
// values are needed, the one that shares the policy's artifact.
func openModels(c *urfave.Context, opt runtime.Options, valued bool) (*models, error) {
	var m models
	var err error
	switch path := c.String("critic"); {
	case path != "":
		if m.critic, err = runtime.OpenValue(path, opt); err == nil {
			m.policy, err = runtime.OpenPolicy(c.String("model"), opt)
		}
	case valued:
		if m.policy, m.critic, err = runtime.OpenPair(c.String("model"), opt); errors.Is(err, runtime.ErrKind) {
			err = fmt.Errorf("%w: name a critic with --critic", err)
		}
	default:
		m.policy, err = runtime.OpenPolicy(c.String("model"), opt)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return &m, nil
}

// hasCritic tells whether there is a critic: --critic, or in the artifact of
// --model.
func hasCritic(c *urfave.Context) bool {
	if c.String("critic") != "" {
		return true
	}
	m, err := manifest.Load(c.String("model"))
	return err == nil && m.Kind == manifest.Pair
}

func (m *models) Close() {
	if m.policy != nil {
		m.policy.Close()
	}
	if m.critic != nil {
		m.critic.Close()
	}
}

// foundAnswer is a line of search's output.
type foundAnswer struct {
	ID       string        `json:"id"`
	Question string        `json:"question"`
	Text     string        `json:"text"`
	Value    float64       `json:"value"`
	LogProb  float64       `json:"logprob"`
	Finished bool          `json:"finished"`
	Correct  *bool         `json:"correct,omitempty"` // where the problem has an answer
	Steps    int           `json:"steps"`
	Tokens   int           `json:"tokens"`           // drawn in the whole search
	Reason   search.Reason `json:"reason,omitempty"` // why the search ended
	Votes    []search.Vote `json:"votes,omitempty"`
	node     int           // of the trace, that it ends with
}

// runSearch answers all problems, several at once, and writes the answers in
// the problems' order: when it is interrupted, those it has.
func runSearch(c *urfave.Context, m *models, set *problemSet, cfg runtime.SearchConfig) (err error) {
	var failed error // what leaves nothing to write
	w, err := jsonl.Create(c.String("out"))
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(finish(w, failed), err) }()
	var trace *jsonl.Writer
	if path := c.String("trace"); path != "" {
		if trace, failed = jsonl.Create(path); failed != nil {
			return failed
		}
		defer func() { err = cmp.Or(finish(trace, failed), err) }()
	}
	trees := make([]searchTree, len(set.problems))
	progress := cli.NewProgress("search", 0, int64(len(trees)))
	err = each(c.Context, len(trees), m.policy.MaxRows(), func(ctx context.Context, i int) (err error) {
		cfg := cfg
		cfg.Question = uint64(i)
		if trace != nil || c.String("html") != "" {
			cfg.Trace = func(n search.Node) { trees[i].Nodes = append(trees[i].Nodes, n) }
		}
		trees[i].Answer, err = searchOne(ctx, m, set, i, cfg)
		progress.Add(1)
		return err
	})
	progress.Close()
	if err != nil && !errors.Is(err, context.Canceled) {
		failed = err
		return err
	}
	trees = slices.DeleteFunc(trees, func(t searchTree) bool { return t.Answer.Reason == "" })
	failed = writeSearches(trees, w, trace, c.String("html"))
	return cmp.Or(failed, err)
}

func writeSearches(trees []searchTree, answers, trace *jsonl.Writer, html string) error {
	for _, t := range trees {
		if err := answers.Write(t.Answer); err != nil {
			return err
		}
		for _, n := range t.Nodes {
			if trace == nil {
				break
			}
			if err := trace.Write(n); err != nil {
				return err
			}
		}
	}
	if html == "" {
		return nil
	}
	return writeTrees(html, trees)
}

// searchOne answers problem i. Of a search that was interrupted it returns what
// there is, with the error.
func searchOne(ctx context.Context, m *models, set *problemSet, i int, cfg runtime.SearchConfig) (foundAnswer, error) {
	p := set.problems[i]
	cfg.Says = func(answer string) string { return set.says(i, answer) }
	cfg.Stop = set.stops
	result, err := runtime.Search(ctx, m.policy, m.critic, set.prompt(p), cfg)
	if err != nil {
		err = fmt.Errorf("problem %s: %w", set.name(i), err)
	}
	if result == nil {
		return foundAnswer{}, err
	}
	best := result.Best()
	found := foundAnswer{
		ID: set.name(i), Question: p.Question, Text: best.Text, Value: best.Value, LogProb: best.LogProb,
		Finished: best.Finished, Steps: best.Steps, Tokens: result.Tokens, Reason: result.Reason, Votes: result.Votes, node: best.Node,
	}
	if p.Answer != "" {
		correct := set.correct(i, best.Text)
		found.Correct = &correct
	}
	return found, err
}

package main

import (
	"context"
	"fmt"
	"iter"
	"math"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/runtime/traj"
)

func diagnoseCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "diagnose",
		Usage: "say how far a critic, and the policy trained with it, can be trusted",
		Description: `Reads graded trajectories that training has not seen, several of each problem,
and measures:

calibration   V(s) before the first step and after every step against the reward
              at the end: a reliability curve of ten bins, their mean absolute gap
              weighed by count (ECE), and the mean of (V - R)^2 (Brier).
pairwise      how often the critic prefers what it should, ties counting half: of
              a right and a wrong trajectory of one problem, by the value at the
              end, averaged over problems; of a right and a wrong step behind the
              same prefix, by the value after the step. Chance is 50 %. The AUC
              over all problems is not shown: knowing which problems are hard is
              enough for a high one.
advantages    of a step between the states s_i and s_j: explicit V(s_j) - V(s_i)
              (Eq. 11), implicit beta times the sum of log pi - log pi_ref over its
              tokens (Eq. 12). AUC: the chance that a right step has a higher one
              than a wrong step of any problem. Only steps behind a right prefix
              count, each text once.
divergence    histograms of log pi - log pi_ref over tokens and of the exact
              KL(pi || pi_ref) over states.

A step is right or wrong by its own arithmetic where the question is of the
built-in generator. Elsewhere outcomes decide: of two steps behind one prefix,
one is right and the other wrong when all trajectories through the first are
rewarded and none through the second. Intervals hold 95 %: percentiles of 1000
bootstrap samples of problems. A step is a line (--step), in conversations an
assistant's turn. Without --policy and --reference the critic alone is measured.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			&urfave.StringFlag{Name: "critic", Required: true, Usage: "critic `DIR` made by oreo-export critic, or pair by oreo-export policy --critic"},
			&urfave.StringFlag{Name: "policy", Usage: "policy `DIR` made by oreo-export policy"},
			&urfave.StringFlag{Name: "reference", Usage: "policy `DIR` it was trained from, pi_ref"},
			&urfave.StringFlag{Name: "data", Required: true, Usage: "JSONL `FILE` (.gz too) of trajectories with rewards; - is standard input"},
			&urfave.Float64Flag{Name: "beta", Value: 0.03, Usage: "beta of the training, scales the implicit advantage"},
			stepFlag(),
			&urfave.IntFlag{Name: "limit", Usage: "take the first `N` trajectories only; 0: all"},
			&urfave.StringFlag{Name: "out", Usage: "HTML `FILE` with plots and values token by token"},
			&urfave.StringFlag{Name: "json", Usage: "JSON `FILE` with all figures"},
		}, deviceFlags()),
		Action: func(c *urfave.Context) error {
			cfg := diagnoseConfig{critic: c.String("critic"), policy: c.String("policy"), reference: c.String("reference"),
				data: c.String("data"), limit: c.Int("limit"), beta: c.Float64("beta"), options: deviceOptions(c)}
			var err error
			if cfg.mode, err = step.ParseMode(c.String("step")); err != nil {
				return cli.Usage(err)
			}
			d, err := openDiagnoser(cfg)
			if err != nil {
				return err
			}
			defer d.close()
			all, err := d.readAll(c.Context)
			if err != nil {
				return err
			}
			return diagnose(all, d.policy != nil, cfg.beta).write(c.App.Writer, all, c.String("out"), c.String("json"))
		},
	}
}

type diagnoseConfig struct {
	critic, policy, reference string // folders; policy and reference may be empty, both of them
	data                      string
	limit                     int
	beta                      float64
	mode                      step.Mode
	options                   runtime.Options
}

func (c diagnoseConfig) validate() error {
	switch {
	case !(c.beta > 0):
		return cli.Usagef("--beta is %v, want more than 0", c.beta)
	case c.limit < 0:
		return cli.Usagef("--limit is %d, want 0 (all) or more", c.limit)
	case (c.policy == "") != (c.reference == ""):
		return cli.Usagef("--policy and --reference go together: the implicit advantage compares the two")
	}
	return nil
}

// diagnoser holds the models; policy and reference may be nil, both of them.
type diagnoser struct {
	cfg               diagnoseConfig
	policy, reference *runtime.Policy
	critic            *runtime.Value
}

func openDiagnoser(cfg diagnoseConfig) (d *diagnoser, err error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	d = &diagnoser{cfg: cfg}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.critic, err = runtime.OpenValue(cfg.critic, cfg.options); err != nil || cfg.policy == "" {
		return d, err
	}
	if d.policy, err = runtime.OpenPolicy(cfg.policy, cfg.options); err != nil {
		return d, err
	}
	d.reference, err = runtime.OpenPolicy(cfg.reference, cfg.options)
	return d, err
}

func (d *diagnoser) close() {
	for _, m := range []*runtime.Policy{d.policy, d.reference} {
		if m != nil {
			m.Close()
		}
	}
	if d.critic != nil {
		d.critic.Close()
	}
}

// followed is a trajectory as the models see it.
type followed struct {
	traj.Record
	problem string // trajectories of one problem share it
	turns   []followedTurn
	steps   []followedStep
}

// followedTurn is a stretch of T tokens that the policy wrote.
type followedTurn struct {
	tokens   []string  // [T] the text of each
	values   []float64 // [T+1] V before each token, and after the last
	logRatio []float64 // [T] log pi - log pi_ref; nil without a policy
	kl       []float64 // [T] KL(pi || pi_ref) in the state before each token
}

// followedStep is an action: tokens from..to-1 of a turn.
type followedStep struct {
	turn, from, to int
	line           int    // its place in the turn
	text, before   string // before: what stands in front of it, from the problem on
	explicit       float64
	implicit       float64
}

// readAll reads the trajectories and runs the models over them.
func (d *diagnoser) readAll(ctx context.Context) ([]followed, error) {
	var all []followed
	for r, err := range traj.Read(d.cfg.data, true) {
		if err != nil {
			return nil, err
		}
		all = append(all, followed{Record: r, problem: problemOf(r)})
		if len(all) == d.cfg.limit {
			break
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no trajectories: the file is empty", d.cfg.data)
	}
	progress := cli.NewProgress("diagnose", 0, int64(len(all)))
	defer progress.Close()
	return all, each(ctx, len(all), d.critic.MaxRows(), func(ctx context.Context, i int) error {
		defer progress.Add(1)
		if err := d.follow(ctx, &all[i]); err != nil {
			return fmt.Errorf("%s: record %d: %w", d.cfg.data, i+1, err)
		}
		return nil
	})
}

func problemOf(r traj.Record) string {
	for _, s := range []string{r.Game, r.Question, r.Prompt} {
		if s != "" {
			return s
		}
	}
	for _, m := range r.Conversations {
		if m.Role == "user" {
			return m.Content
		}
	}
	return r.ID
}

// follow runs the models over a trajectory, turn by turn.
func (d *diagnoser) follow(ctx context.Context, f *followed) error {
	if len(f.Conversations) == 0 {
		return d.followTurn(ctx, f, runtime.Text(f.Prompt), f.Response, step.Pieces(f.Response, d.cfg.mode), f.problem)
	}
	before := f.problem
	for k, m := range f.Conversations {
		if m.Role == "assistant" && m.Content != "" {
			if err := d.followTurn(ctx, f, runtime.Chat(f.Conversations[:k]...), m.Content, []string{m.Content}, before); err != nil {
				return err
			}
		}
		before += "\n" + m.Content
	}
	return nil
}

// followTurn adds a turn that consists of the given steps.
func (d *diagnoser) followTurn(ctx context.Context, f *followed, prompt runtime.Prompt, text string, steps []string, before string) error {
	scores, err := d.critic.Score(ctx, prompt, text)
	if err != nil {
		return err
	}
	t := followedTurn{}
	var ends []int // in bytes of text
	t.tokens, ends = tokenTexts(d.critic.Tokenizer(), text)
	t.values = scores.Values[max(0, len(scores.Values)-len(t.tokens)-1):]
	if d.policy != nil {
		if t.logRatio, t.kl, err = d.compare(ctx, prompt, text, len(t.tokens)); err != nil {
			return err
		}
	}
	f.turns = append(f.turns, t)
	from, end := 0, 0
	for line, s := range steps {
		to := from
		for end += len(s); to < len(ends) && ends[to] <= end; {
			to++
		}
		if to > from { // else its tokens belong to the step before it
			step := followedStep{turn: len(f.turns) - 1, from: from, to: to, line: line, text: s, before: before}
			step.explicit, step.implicit = t.advantages(from, to, d.cfg.beta)
			f.steps = append(f.steps, step)
		}
		before += s
		from = to
	}
	return nil
}

// advantages are Eq. 11 and Eq. 12 of the tokens from..to-1.
func (t followedTurn) advantages(from, to int, beta float64) (explicit, implicit float64) {
	if t.logRatio != nil {
		for _, d := range t.logRatio[from:to] {
			implicit += beta * d
		}
	}
	return t.values[to] - t.values[from], implicit
}

// tokenTexts cuts a text into its tokens; a character of several tokens goes
// with the last of them.
func tokenTexts(tok *tokenizer.Tokenizer, text string) (pieces []string, ends []int) {
	ids, offsets := tok.EncodeOffsets(text)
	at := 0
	for i := range ids {
		end := len(text)
		if i+1 < len(ids) {
			end = max(at, min(offsets[i][1], offsets[i+1][0]))
		}
		pieces, ends = append(pieces, text[at:end]), append(ends, end)
		at = end
	}
	return pieces, ends
}

// compare returns log pi - log pi_ref of each token, and the exact divergence
// of the state before it.
func (d *diagnoser) compare(ctx context.Context, prompt runtime.Prompt, text string, n int) (logRatio, kl []float64, err error) {
	reference, stop := iter.Pull2(d.reference.Follow(ctx, prompt, text))
	defer stop()
	for p, err := range d.policy.Follow(ctx, prompt, text) {
		if err != nil {
			return nil, nil, err
		}
		r, err, ok := reference()
		if err != nil {
			return nil, nil, fmt.Errorf("reference: %w", err)
		}
		if !ok || r.ID != p.ID || len(r.Logits) != len(p.Logits) {
			return nil, nil, fmt.Errorf("policy and reference have different tokenizers or vocabularies")
		}
		ratio, divergence := compareLogits(p.Logits, r.Logits, p.ID)
		logRatio, kl = append(logRatio, ratio), append(kl, divergence)
	}
	if len(logRatio) != n {
		return nil, nil, fmt.Errorf("policy and critic have different tokenizers: %d and %d tokens", len(logRatio), n)
	}
	return logRatio, kl, nil
}

// compareLogits returns log p(id) - log q(id) and KL(p || q) of the
// distributions with these logits.
func compareLogits(p, q []float32, id int) (logRatio, kl float64) {
	logP, logQ := logSumExp(p), logSumExp(q)
	for i := range p {
		d := float64(p[i]) - logP - float64(q[i]) + logQ
		kl += math.Exp(float64(p[i])-logP) * d
		if i == id {
			logRatio = d
		}
	}
	return logRatio, kl
}

func logSumExp(logits []float32) float64 {
	top := math.Inf(-1)
	for _, x := range logits {
		top = max(top, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - top)
	}
	return top + math.Log(sum)
}

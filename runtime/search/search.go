// Package search finds answers with a policy that proposes reasoning steps and a
// critic that values them: the step-level beam search of the paper (arXiv
// 2412.16145, section 4.4). It works on engines, so any number of searches may
// run at once and share their batches.
package search

import (
	"context"
	"fmt"
	"strings"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/sample"
)

// Models are what a search runs on. Policy and critic share one vocabulary.
type Models struct {
	Policy, Critic *engine.Engine

	// NewDecoder returns a fresh function that maps the tokens of an answer, one
	// after the other, to the text each completes.
	NewDecoder func() func(id int) string
	// EOS tells whether a token ends an answer.
	EOS func(id int) bool
}

// StepRule tells where reasoning steps end.
type StepRule interface {
	// StepEnd returns the last byte offset in (from, len(response)] at which a
	// step of response ends, 0 if there is none. It is asked after every token
	// and must not depend on text to come.
	StepEnd(response string, from int) int
}

// Delimiters is a StepRule: a step ends behind each occurrence of any of them.
type Delimiters []string

// StepEnd implements StepRule.
func (d Delimiters) StepEnd(response string, from int) int {
	end := 0
	for _, delimiter := range d {
		if i := strings.LastIndex(response, delimiter); i >= 0 && i+len(delimiter) > from {
			end = max(end, i+len(delimiter))
		}
	}
	return end
}

// Config says how to search; zero fields take the defaults, the paper's.
type Config struct {
	Width        int           // B: beams, and steps drawn from each; default 5
	MaxSteps     int           // default 20
	MaxNewTokens int           // per answer, default 1024; the models' positions bound it too
	Sample       sample.Config // how steps are drawn; the zero value means temperature 1
	Seed         uint64
	Question     uint64 // index of the question: with Seed it fixes all draws
	Rule         StepRule

	// Trace, if set, is given every node of the tree, step by step.
	Trace func(Node)
}

// Node is one candidate: a step and the answer it belongs to.
type Node struct {
	Question uint64  `json:"question"`
	Step     int     `json:"step"` // from 1
	ID       int     `json:"id"`   // from 1, in order of creation
	Parent   int     `json:"parent"`
	Text     string  `json:"text"` // of this step alone
	Tokens   int     `json:"tokens"`
	LogProb  float64 `json:"logprob"` // of this step's tokens under the policy
	Value    float64 `json:"value"`   // of the state after this step
	Copies   int     `json:"copies"`  // draws that gave this very step
	Kept     bool    `json:"kept"`    // it is expanded further, or an answer
	Finished bool    `json:"finished"`
}

// Answer is a response that a search arrived at.
type Answer struct {
	Text     string
	IDs      []int // of the response, the end token included if there is one
	Value    float64
	LogProb  float64
	Steps    int
	Finished bool // it ended by itself, not by a limit
}

// Result holds the answers of a search, best first: finished ones by value, then
// those that a limit cut.
type Result struct {
	Answers []Answer
	Steps   int // of the tree
	Tokens  int // drawn by the policy
	Nodes   int
}

// Best is the first answer.
func (r *Result) Best() Answer { return r.Answers[0] }

func (c *Config) validate() error {
	if c.Width == 0 {
		c.Width = 5
	}
	if c.MaxSteps == 0 {
		c.MaxSteps = 20
	}
	if c.MaxNewTokens == 0 {
		c.MaxNewTokens = 1024
	}
	if c.Sample == (sample.Config{}) {
		c.Sample.Temperature = 1
	}
	switch {
	case c.Width < 1:
		return fmt.Errorf("search: width is %d, want 1 or more", c.Width)
	case c.MaxSteps < 1:
		return fmt.Errorf("search: step limit is %d, want 1 or more", c.MaxSteps)
	case c.MaxNewTokens < 1:
		return fmt.Errorf("search: token limit is %d, want 1 or more", c.MaxNewTokens)
	case c.Rule == nil:
		return fmt.Errorf("search: no rule says where steps end")
	}
	return c.Sample.Validate()
}

// Rows is the number of sequences a search of this width holds in each engine.
func Rows(width int) int { return width * width }

// Beam searches for an answer to prompt. Each of B beams draws B next steps; of
// the B*B the critic values each at its last token, and the B best go on. A
// finished answer leaves the beams without narrowing them and competes by its
// value. The search ends when no beam is left, when B answers are finished and
// the best of them is valued as high as any beam, or at a limit.
func Beam(ctx context.Context, m Models, prompt []int, cfg Config) (*Result, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if len(prompt) == 0 {
		return nil, fmt.Errorf("search: empty prompt")
	}
	positions := min(m.Policy.Spec().MaxPositions, m.Critic.Spec().MaxPositions)
	if len(prompt) >= positions {
		return nil, fmt.Errorf("%w: prompt of %d tokens, %d positions", engine.ErrTooLong, len(prompt), positions)
	}
	cfg.MaxNewTokens = min(cfg.MaxNewTokens, positions-len(prompt))
	for _, e := range []*engine.Engine{m.Policy, m.Critic} {
		lease, err := e.Reserve(ctx, Rows(cfg.Width))
		if err != nil {
			return nil, err
		}
		defer lease.Close()
	}
	b := &beam{Models: m, cfg: cfg}
	defer func() { b.free(b.live...) }()
	if err := b.plant(ctx, prompt); err != nil {
		return nil, err
	}
	for b.result.Steps < cfg.MaxSteps && !b.over() {
		if err := b.grow(ctx); err != nil {
			return nil, err
		}
	}
	return b.conclude(), nil
}

// Package search finds answers with a policy that proposes and a critic that
// values: the step-level beam search of the paper (arXiv 2412.16145, section
// 4.4), its diverse variant DVTS, best-of-N, and votes. One call serves
// reasoning in steps and the choice of an agent's action; what differs is the
// method and the rule that ends a step. It works on engines, so any number of
// searches may run at once and share their batches.
package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/sample"
)

// Models are what a search runs on. Policy and critic share one vocabulary.
type Models struct {
	Policy *engine.Engine

	// Critic is nil if nothing is to be valued: best-of-N with a majority vote. It
	// is Policy again where that answers values, too: then they come from the
	// passes that draw, and the critic needs neither rows nor tokens of its own.
	Critic *engine.Engine

	// NewDecoder returns a fresh function that maps the tokens of an answer, one
	// after the other, to the text each completes.
	NewDecoder func() func(id int) string
	// EOS tells whether a token ends an answer.
	EOS func(id int) bool
	// Encode turns text into tokens: for the critic, the rest of a token that a
	// stop text cuts in two. Nil leaves that rest out.
	Encode func(text string) []int
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

// Method is how a tree is grown.
type Method string

// Methods.
const (
	// Beam is the paper's: each of B beams draws B next steps; of the B*B the
	// critic values each, and the B best go on.
	Beam Method = "beam"
	// DVTS grows B trees that do not compete (diverse verifier tree search): each
	// draws B next steps and goes on with its best.
	DVTS Method = "dvts"
	// BestOfN draws B whole answers and values them. With K actions of an agent
	// in place of answers it is the paper's best-of-K.
	BestOfN Method = "best-of-n"
)

// Aggregate is how the values along an answer's steps become one.
type Aggregate string

// Aggregates.
const (
	Last Aggregate = "last" // of the last state, the paper's
	Min  Aggregate = "min"
	Mean Aggregate = "mean"
)

// Choice is how the best of several answers is found.
type Choice string

// Choices.
const (
	ByValue  Choice = "value"    // the highest value
	Majority Choice = "majority" // what most answers say
	Weighted Choice = "weighted" // what the answers of most value together say; rewards should not be negative
)

// Budget bounds a search; zero fields do not.
type Budget struct {
	Tokens int           // drawn by the policy in all
	Time   time.Duration // by the clock, from when there is room in the models
}

// Config says how to search; zero fields take the defaults, the paper's.
type Config struct {
	Method       Method    // default Beam
	Width        int       // B: beams and steps drawn from each, or answers; default 5
	MaxSteps     int       // default 20; not for BestOfN
	MaxNewTokens int       // per answer, default 1024; the models' positions bound it too
	Aggregate    Aggregate // default Last
	Choice       Choice    // default ByValue
	Budget       Budget

	// Sample is how steps are drawn. Temperature 0 means 1, except for a single
	// answer of BestOfN, where it is greedy.
	Sample   sample.Config
	Seed     uint64
	Question uint64 // index of the question: with Seed it fixes all draws

	Rule       StepRule                 // where steps end; for BestOfN it may be nil: an answer is one step
	Stop       []string                 // texts that end an answer and are not part of it
	Constraint func() sample.Constraint // what answers may say: called for each, nil means anything

	// Says, needed by votes, reduces an answer to what is voted on; empty texts
	// do not vote.
	Says func(answer string) string

	// Trace, if set, is given every node of the tree.
	Trace func(Node)
}

// Node is one candidate: a step and the answer it belongs to.
type Node struct {
	Question uint64  `json:"question"`
	Tree     int     `json:"tree,omitempty"` // of DVTS, from 0
	Step     int     `json:"step"`           // from 1
	ID       int     `json:"id"`             // from 1, in order of creation
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
	IDs      []int     // of the response, the end token and those of a stop text included
	Value    float64   // the aggregate of Values
	Values   []float64 // of the states after its steps
	LogProb  float64
	LogProbs []float64 // of IDs
	Steps    int
	Node     int  // ID of the traced node it ends with; 0 if there is none yet
	Copies   int  // draws that gave this very answer
	Finished bool // it ended by itself, not by a limit
	Unvalued bool // the search was stopped before the critic saw it, or has no critic
	Says     string
}

// Reason is why a search ended.
type Reason string

// Reasons.
const (
	Complete  Reason = "complete"  // no further step could change the best answer
	Steps     Reason = "steps"     // MaxSteps
	Tokens    Reason = "tokens"    // Budget.Tokens
	Time      Reason = "time"      // Budget.Time
	Cancelled Reason = "cancelled" // the context ended
)

// Result holds the answers of a search, best first: finished ones by value, then
// those that a limit cut. A vote puts what won it first.
type Result struct {
	Answers []Answer
	Votes   []Vote // most first, if there was a vote
	Reason  Reason
	Steps   int // of the tree
	Tokens  int // drawn by the policy
	Nodes   int
}

// Vote is what some answers say.
type Vote struct {
	Says   string
	Copies int     // draws that say so
	Weight float64 // their number, or the sum of their values
}

// Best is the first answer; the zero Answer if a search was stopped before it
// had drawn anything.
func (r *Result) Best() Answer {
	if len(r.Answers) == 0 {
		return Answer{}
	}
	return r.Answers[0]
}

// ErrNaN is the answer of a critic whose values are not numbers.
var ErrNaN = errors.New("the critic answers NaN: its weights are damaged or overflow in this precision")

// errTime ends the context of a search whose time is up.
var errTime = errors.New("time budget")

// Run searches for answers to prompt. A finished answer leaves the beams without
// narrowing them and competes by its value. A search ends when no beam is left,
// when as many answers are finished as there were beams and the best of them is
// valued as high as any beam, or at a limit.
//
// It can be stopped at any time: at the end of a budget the best so far is
// returned with the reason, and at the end of ctx too, together with its error.
func Run(ctx context.Context, m Models, prompt []int, cfg Config) (*Result, error) {
	if err := cfg.check(m); err != nil {
		return nil, err
	}
	rows := Rows(cfg.Method, cfg.Width)
	if cfg.Method == BestOfN {
		rows = min(rows, m.maxRows())
	}
	lease, err := m.Reserve(ctx, rows)
	if err != nil {
		return nil, err
	}
	defer lease.Close()
	root := NewRoot(m)
	defer root.Close()
	return root.run(ctx, prompt, cfg, rows)
}

// Rows is the most sequences a search of this width holds in each engine.
// Best-of-N makes do with fewer.
func Rows(method Method, width int) int {
	if method == BestOfN {
		return width
	}
	return width * width
}

// Validate names the first field that is out of range; zero fields are not.
func (c Config) Validate() error {
	c.defaults()
	switch {
	case c.Width < 1:
		return fmt.Errorf("search: width is %d, want 1 or more", c.Width)
	case c.MaxSteps < 1:
		return fmt.Errorf("search: step limit is %d, want 1 or more", c.MaxSteps)
	case c.MaxNewTokens < 1:
		return fmt.Errorf("search: token limit is %d, want 1 or more", c.MaxNewTokens)
	case c.Budget.Tokens < 0 || c.Budget.Time < 0:
		return fmt.Errorf("search: budget of %d tokens and %v, want 0 (none) or more", c.Budget.Tokens, c.Budget.Time)
	case c.Method != Beam && c.Method != DVTS && c.Method != BestOfN:
		return fmt.Errorf("search: method is %q, want %s, %s or %s", c.Method, Beam, DVTS, BestOfN)
	case c.Aggregate != Last && c.Aggregate != Min && c.Aggregate != Mean:
		return fmt.Errorf("search: aggregate is %q, want %s, %s or %s", c.Aggregate, Last, Min, Mean)
	case c.Choice != ByValue && c.Choice != Majority && c.Choice != Weighted:
		return fmt.Errorf("search: choice is %q, want %s, %s or %s", c.Choice, ByValue, Majority, Weighted)
	}
	return c.Sample.Validate()
}

// check fills in the defaults and asks for what the method needs.
func (c *Config) check(m Models) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c.defaults()
	switch {
	case c.Choice != ByValue && c.Says == nil:
		return errors.New("search: a vote needs Says, what an answer says")
	case c.Rule == nil && (c.Method != BestOfN || c.Aggregate != Last):
		return errors.New("search: no rule says where steps end")
	case m.alike() && !m.Policy.Spec().Valued:
		return errors.New("search: the policy, which is to be the critic too, answers no values")
	case m.Critic == nil && c.Method != BestOfN:
		return fmt.Errorf("search: %s needs a critic", c.Method)
	case m.Critic == nil && c.Width > 1 && c.Choice != Majority:
		return fmt.Errorf("search: choosing of %d answers by %s needs a critic", c.Width, c.Choice)
	}
	return nil
}

func (c *Config) defaults() {
	if c.Method == "" {
		c.Method = Beam
	}
	if c.Width == 0 {
		c.Width = 5
	}
	if c.MaxSteps == 0 {
		c.MaxSteps = 20
	}
	if c.MaxNewTokens == 0 {
		c.MaxNewTokens = 1024
	}
	if c.Aggregate == "" {
		c.Aggregate = Last
	}
	if c.Choice == "" {
		c.Choice = ByValue
	}
	if c.Sample.Temperature == 0 && (c.Method != BestOfN || c.Width > 1) {
		c.Sample.Temperature = 1
	}
}

// alike tells whether policy and critic are one.
func (m Models) alike() bool { return m.Critic == m.Policy }

// apart tells whether there is a critic with rows and tokens of its own.
func (m Models) apart() bool { return m.Critic != nil && !m.alike() }

// maxRows is the most sequences that both engines hold.
func (m Models) maxRows() int {
	if !m.apart() {
		return m.Policy.MaxRows()
	}
	return min(m.Policy.MaxRows(), m.Critic.MaxRows())
}

// Lease is room for sequences in both engines.
type Lease struct{ policy, critic *engine.Lease }

// Reserve waits for room for rows sequences in each engine, always in the same
// order: two searches that each had half would wait for each other.
func (m Models) Reserve(ctx context.Context, rows int) (*Lease, error) {
	l := &Lease{}
	var err error
	if l.policy, err = m.Policy.Reserve(ctx, rows); err != nil {
		return nil, err
	}
	if !m.apart() {
		return l, nil
	}
	if l.critic, err = m.Critic.Reserve(ctx, rows); err != nil {
		l.policy.Close()
		return nil, err
	}
	return l, nil
}

// Close gives the room back.
func (l *Lease) Close() {
	l.policy.Close()
	if l.critic != nil {
		l.critic.Close()
	}
}

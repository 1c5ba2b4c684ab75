package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oreo-go/oreo/runtime/engine"
)

// Root is a prompt in the caches of both models, from which searches start. It
// remembers what it holds: a prompt that goes on where the last one ended, or
// behind an answer to it, runs what is new alone. It is not safe for concurrent
// use.
type Root struct {
	m              Models
	policy, critic *engine.Seq // nil while they hold nothing; critic always unless it is apart
}

// NewRoot returns a root that holds nothing. It needs a row in each engine.
func NewRoot(m Models) *Root { return &Root{m: m} }

// Close frees the rows.
func (r *Root) Close() {
	r.m.Policy.Free(r.policy)
	if r.m.apart() {
		r.m.Critic.Free(r.critic)
	}
	r.policy, r.critic = nil, nil
}

// Search is Run from this root, with room for rows sequences in each engine
// reserved by the caller. Best-of-N leaves its best answer in the root, for a
// prompt that goes on behind it; other methods use the root up.
func (r *Root) Search(ctx context.Context, prompt []int, cfg Config, rows int) (*Result, error) {
	if err := cfg.check(r.m); err != nil {
		return nil, err
	}
	if need := Rows(cfg.Method, cfg.Width); cfg.Method != BestOfN && rows < need {
		return nil, fmt.Errorf("%w: %d needed, %d reserved", engine.ErrRows, need, rows)
	}
	return r.run(ctx, prompt, cfg, rows)
}

// tree is a search under way.
type tree struct {
	*Root
	cfg    Config
	prompt []int
	rows   int // sequences it may hold in each engine
	result Result
	done   []*node // finished, whatever their value
	cut    []*node // stopped by a limit
	live   []*node // could go on
	drafts []*node // under way when the search was stopped
	broke  bool    // a draw was cut by the token budget
}

// run searches from prompt, with room for rows sequences reserved.
func (r *Root) run(ctx context.Context, prompt []int, cfg Config, rows int) (*Result, error) {
	if len(prompt) == 0 {
		return nil, fmt.Errorf("search: empty prompt")
	}
	positions := r.m.Policy.Spec().MaxPositions
	if r.m.apart() {
		positions = min(positions, r.m.Critic.Spec().MaxPositions)
	}
	if len(prompt) >= positions {
		return nil, fmt.Errorf("%w: prompt of %d tokens, %d positions", engine.ErrTooLong, len(prompt), positions)
	}
	cfg.MaxNewTokens = min(cfg.MaxNewTokens, positions-len(prompt))
	timed, cancel := ctx, context.CancelFunc(func() {})
	if cfg.Budget.Time > 0 {
		timed, cancel = context.WithTimeoutCause(ctx, cfg.Budget.Time, errTime)
	}
	defer cancel()
	t := &tree{Root: r, cfg: cfg, prompt: prompt, rows: rows}
	err := t.plant(timed)
	if err == nil && cfg.Method == BestOfN {
		err = t.drawAnswers(timed)
	} else if err == nil {
		err = t.grow(timed)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		t.result.Reason, err = Cancelled, ctx.Err()
	case errors.Is(context.Cause(timed), errTime):
		t.result.Reason, err = Time, nil
	default:
		return nil, err
	}
	return t.conclude(), err
}

// plant fills both caches with the prompt; its last token stays pending, so that
// each fork has one token to ask about.
func (t *tree) plant(ctx context.Context) error {
	set := func(e *engine.Engine, seq **engine.Seq) error {
		if *seq == nil {
			*seq = e.NewSeq()
		}
		s, same := *seq, 0
		for same < min(s.Len(), len(t.prompt)-1) && s.IDs()[same] == t.prompt[same] {
			same++
		}
		if err := s.Rewind(same); err != nil {
			return err
		}
		s.Append(t.prompt[same:]...)
		return e.Run(ctx, engine.Job{Seq: s})
	}
	critic := make(chan error, 1)
	go func() {
		if !t.m.apart() {
			critic <- nil
			return
		}
		critic <- set(t.m.Critic, &t.critic)
	}()
	err := set(t.m.Policy, &t.policy)
	return cmp.Or(err, <-critic)
}

// node is a candidate: a response so far, ending with a step.
type node struct {
	Node
	parent *node
	ids    []int     // of the response
	probs  []float64 // log-probabilities of ids
	text   string    // of the response
	from   int       // bytes of text that belong to ended steps
	read   []int     // tokens of the response as the critic reads it: no end token, no stop text
	ends   []mark    // of the response's steps, where it is drawn as a whole
	values []float64
	score  float64 // the aggregate of values
	total  float64 // log-probability of the response
	copies int     // draws of this response
	cutOff bool    // a limit was reached

	// What the policy's rows have answered: its logits behind the last token, once
	// that was run, and where it is the critic too the values of the states after
	// the first tokens of read, from none on.
	logits []float32
	states []float64

	policy, critic *engine.Seq // nil once freed
}

// mark is where a step of a whole answer ends.
type mark struct {
	tokens, bytes int
	total         float64
}

// child is a response that goes on where p ends.
func (p *node) child() *node {
	return &node{
		parent: p, ids: slices.Clone(p.ids), probs: slices.Clone(p.probs), text: p.text, from: p.from, read: slices.Clone(p.read),
		values: slices.Clone(p.values), states: slices.Clone(p.states), score: p.score, total: p.total, copies: 1,
		Node: Node{Question: p.Question, Tree: p.Tree, Step: p.Step + 1, Parent: p.ID, Copies: 1},
	}
}

// valued notes the critic's values of the states that n adds.
func (n *node) valued(by Aggregate, values ...float64) error {
	for _, v := range values {
		if math.IsNaN(v) {
			return ErrNaN
		}
	}
	n.values = append(n.values, values...)
	last := len(n.values) - 1
	n.Value = n.values[last]
	switch by {
	case Last:
		n.score = n.Value
	case Min:
		n.score = slices.Min(n.values)
	case Mean:
		n.score = 0
		for _, v := range n.values {
			n.score += v / float64(len(n.values))
		}
	}
	return nil
}

// free gives the rows of nodes back.
func (m Models) free(nodes ...*node) {
	var policy, critic []*engine.Seq
	for _, n := range nodes {
		if n.policy != nil {
			policy = append(policy, n.policy)
		}
		if n.critic != nil {
			critic = append(critic, n.critic)
		}
		n.policy, n.critic = nil, nil
	}
	if len(policy) > 0 {
		m.Policy.Free(policy...)
	}
	if len(critic) > 0 {
		m.Critic.Free(critic...)
	}
}

package runtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/oreo-go/oreo/runtime/sample"
	"github.com/oreo-go/oreo/runtime/search"
)

// ActionConfig says how an agent's next action is chosen: K are drawn, and the
// one after which the critic expects the highest reward is taken (section 4.4 of
// the paper). The zero value takes the likeliest single one.
type ActionConfig struct {
	K            int           // actions to choose from; 0 is 1, which needs no critic
	Sample       sample.Config // how they are drawn; temperature 0 means 1 if K is above 1
	MaxNewTokens int           // of an action; 0 is 256
	Stop         []string      // texts that end an action and are not part of it
	Grammar      Grammar       // what an action may say; nil is anything
	Budget       search.Budget
	Seed         uint64
	Question     uint64 // index of the episode's turn: with Seed it fixes all draws
}

// Action is a reply that was chosen.
type Action struct {
	Text     string
	Value    float64 // what the critic expects after it; 0 without a critic
	LogProb  float64
	LogProbs []float64       // of its tokens, the end token included
	Copies   int             // draws that gave this very action
	Finished bool            // it ended by itself, not by a limit
	Others   []search.Answer // the rest, best first; those that came out the same are one
	Reason   search.Reason   // why drawing ended
}

// ChooseAction chooses one action behind prompt. For the turns of an episode a
// Dialogue is faster. v may be nil if cfg.K is 1.
func ChooseAction(ctx context.Context, p *Policy, v *Value, prompt Prompt, cfg ActionConfig) (*Action, error) {
	d, err := NewDialogue(ctx, p, v, max(1, cfg.K))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ChooseAction(ctx, prompt, cfg)
}

// Dialogue is an agent's episode: it keeps the conversation in the caches of both
// models from turn to turn, so that a turn costs what is new in it. It holds room
// for K sequences in each model until Close. Calls wait for each other.
type Dialogue struct {
	policy *Policy
	k      int

	mu    sync.Mutex
	lease *search.Lease
	root  *search.Root // nil once closed
}

// NewDialogue waits for room for k actions at a time. v may be nil if k is 1.
func NewDialogue(ctx context.Context, p *Policy, v *Value, k int) (*Dialogue, error) {
	switch {
	case k < 1:
		return nil, fmt.Errorf("%d actions to choose from, want 1 or more", k)
	case k > 1 && v == nil:
		return nil, fmt.Errorf("choosing of %d actions needs a critic", k)
	}
	m, err := searchModels(p, v)
	if err != nil {
		return nil, err
	}
	lease, err := m.Reserve(ctx, k)
	if err != nil {
		return nil, err
	}
	return &Dialogue{policy: p, k: k, lease: lease, root: search.NewRoot(m)}, nil
}

// ChooseAction chooses the action behind prompt, the conversation so far. When
// ctx ends, the best so far is returned together with its error; it may be nil.
func (d *Dialogue) ChooseAction(ctx context.Context, prompt Prompt, cfg ActionConfig) (*Action, error) {
	k := max(1, cfg.K)
	if k > d.k {
		return nil, fmt.Errorf("%w: %d actions, the dialogue was made for %d", ErrRows, k, d.k)
	}
	ids, err := d.policy.Tokens(prompt)
	if err != nil {
		return nil, err
	}
	if cfg.MaxNewTokens == 0 {
		cfg.MaxNewTokens = defaultNewTokens
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return nil, fmt.Errorf("dialogue: %w", ErrClosed)
	}
	how := search.Config{
		Method: search.BestOfN, Width: k, MaxNewTokens: cfg.MaxNewTokens, Sample: cfg.Sample, Budget: cfg.Budget,
		Seed: cfg.Seed, Question: cfg.Question, Stop: cfg.Stop,
	}
	if cfg.Grammar != nil {
		how.Constraint = cfg.Grammar.New
	}
	found, err := d.root.Search(ctx, ids, how, k)
	if found == nil || len(found.Answers) == 0 {
		if err == nil {
			err = fmt.Errorf("no action was drawn: the budget ended first (%s)", found.Reason)
		}
		return nil, err
	}
	best := found.Best()
	return &Action{
		Text: best.Text, Value: best.Value, LogProb: best.LogProb, LogProbs: best.LogProbs, Copies: best.Copies, Finished: best.Finished, Others: found.Answers[1:], Reason: found.Reason,
	}, err
}

// Close gives the room back. It may be called twice.
func (d *Dialogue) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		d.root.Close()
		d.lease.Close()
		d.root = nil
	}
	return nil
}

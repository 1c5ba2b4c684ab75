package search

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/sample"
)

// beam is a search under way.
type beam struct {
	Models
	cfg    Config
	live   []*node // at most B, best first
	done   []*node // finished, best first
	cut    []*node // stopped by the token limit
	result Result
}

// node is a candidate: a response so far, ending with a step.
type node struct {
	Node
	parent *node
	ids    []int  // of the response
	text   string // of the response
	from   int    // bytes of text that belong to ended steps
	total  float64
	cutOff bool // the token limit was reached

	policy, critic *engine.Seq // nil once freed
}

// plant fills both caches with the prompt; its last token stays pending, so that
// the first step's forks each have one token to ask about.
func (b *beam) plant(ctx context.Context, prompt []int) error {
	root := &node{policy: b.Policy.NewSeq(), critic: b.Critic.NewSeq()}
	b.live = []*node{root}
	root.policy.Append(prompt...)
	root.critic.Append(prompt...)
	critic := make(chan error, 1)
	go func() { critic <- b.Critic.Run(ctx, engine.Job{Seq: root.critic}) }()
	err := b.Policy.Run(ctx, engine.Job{Seq: root.policy})
	return cmp.Or(err, <-critic)
}

// over tells whether further steps could change the best answer.
func (b *beam) over() bool {
	if len(b.live) == 0 {
		return true
	}
	return len(b.done) >= b.cfg.Width && b.done[0].Value >= b.live[0].Value
}

// grow takes every beam one step further.
func (b *beam) grow(ctx context.Context) error {
	b.result.Steps++
	drawn, err := b.draw(ctx)
	if err != nil {
		return err
	}
	next := b.merge(drawn)
	if err := b.value(ctx, next); err != nil {
		b.free(next...)
		return err
	}
	b.choose(next)
	return nil
}

// draw samples B next steps from each beam, all in one batch. The beams give
// their policy rows up to their children.
func (b *beam) draw(ctx context.Context) ([]*node, error) {
	parents := b.live
	seqs := make([]*engine.Seq, len(parents))
	for i, p := range parents {
		seqs[i] = p.policy
	}
	forks, err := b.Policy.Fork(b.cfg.Width-1, seqs...)
	if err != nil {
		return nil, err
	}
	var children []*node
	var jobs []engine.Job
	failures := make([]error, len(parents)*b.cfg.Width)
	for i, p := range parents {
		for j, seq := range append(forks[i], p.policy) {
			n := &node{
				parent: p, policy: seq, ids: slices.Clone(p.ids), text: p.text, from: p.from, total: p.total,
				Node: Node{Question: b.cfg.Question, Step: b.result.Steps, Parent: p.ID, Copies: 1},
			}
			draw := len(children)
			rng := sample.Rand(b.cfg.Seed, b.cfg.Question, uint64(i*b.cfg.Width+j), uint64(b.result.Steps))
			jobs = append(jobs, engine.Job{Seq: seq, Step: b.stepper(n, sample.New(b.cfg.Sample, rng), &failures[draw])})
			children = append(children, n)
		}
		p.policy = nil
	}
	err = b.Policy.Run(ctx, jobs...)
	for _, f := range failures {
		err = cmp.Or(err, f)
	}
	if err != nil {
		b.free(children...)
		return nil, err
	}
	return children, nil
}

// stepper draws the tokens of one step of n.
func (b *beam) stepper(n *node, s *sample.Sampler, failure *error) func(int, []float32) (int, bool) {
	decode := b.NewDecoder()
	var text strings.Builder // of the response, as far as characters are whole
	for _, id := range n.ids {
		text.WriteString(decode(id))
	}
	return func(_ int, logits []float32) (int, bool) {
		id, logProb, err := s.Pick(logits)
		if err != nil {
			*failure = err
			return 0, false
		}
		if b.EOS(id) {
			n.add(id, logProb)
			n.Finished = true
			return 0, false
		}
		text.WriteString(decode(id))
		n.add(id, logProb)
		n.text = text.String()
		if end := b.cfg.Rule.StepEnd(n.text, n.from); end > 0 {
			// A token across the border belongs to the step it ends, as in training.
			n.from = end
			return 0, false
		}
		n.cutOff = len(n.ids) >= b.cfg.MaxNewTokens
		return id, !n.cutOff
	}
}

func (n *node) add(id int, logProb float64) {
	n.ids = append(n.ids, id)
	n.Tokens++
	n.LogProb += logProb
	n.total += logProb
}

// merge joins draws that came out the same, and numbers what is left. The token
// that ended a step was not run: it becomes the sequence's pending one.
func (b *beam) merge(drawn []*node) (distinct []*node) {
	for _, n := range drawn {
		b.result.Tokens += n.Tokens
		same := slices.IndexFunc(distinct, func(o *node) bool { return o.parent == n.parent && slices.Equal(o.ids, n.ids) })
		if same >= 0 {
			distinct[same].Copies++
			b.free(n)
			continue
		}
		b.result.Nodes++
		n.ID = b.result.Nodes
		n.Text = strings.TrimPrefix(n.text, n.parent.text)
		if n.Finished || n.cutOff {
			b.free(n)
		} else {
			n.policy.Append(n.ids[len(n.ids)-1])
		}
		distinct = append(distinct, n)
	}
	return distinct
}

// value asks the critic about the state after each step: at its last token, the
// end token not counted. The beams give their critic rows up to their children.
func (b *beam) value(ctx context.Context, nodes []*node) error {
	if err := b.forkCritic(nodes); err != nil {
		return err
	}
	var jobs []engine.Job
	for _, n := range nodes {
		fed := len(n.ids) - len(n.parent.ids)
		if n.Finished {
			fed--
		}
		if fed == 0 && n.parent.ID > 0 { // the end token alone: nothing new to value
			n.Value = n.parent.Value
			continue
		}
		n.critic.Append(n.ids[len(n.parent.ids) : len(n.parent.ids)+fed]...)
		jobs = append(jobs, engine.Job{Seq: n.critic, Step: func(_ int, v []float32) (int, bool) {
			n.Value = float64(v[0])
			return 0, false
		}})
	}
	if err := b.Critic.Run(ctx, jobs...); err != nil {
		return err
	}
	for _, n := range nodes {
		if math.IsNaN(n.Value) {
			return errors.New("search: the critic answers NaN: its weights are damaged or overflow in this precision")
		}
	}
	return nil
}

// forkCritic gives every child a copy of its parent's critic row, the last child
// the row itself.
func (b *beam) forkCritic(nodes []*node) error {
	seqs := make([]*engine.Seq, len(b.live))
	counts := make([]int, len(b.live))
	for i, p := range b.live {
		seqs[i] = p.critic
		for _, n := range nodes {
			if n.parent == p {
				counts[i]++
			}
		}
		counts[i]-- // every beam has a child
	}
	forks, err := b.Critic.ForkEach(seqs, counts)
	if err != nil {
		return err
	}
	for i, p := range b.live {
		rows := append(forks[i], p.critic)
		p.critic = nil
		for _, n := range nodes {
			if n.parent == p {
				n.critic, rows = rows[0], rows[1:]
			}
		}
	}
	return nil
}

// choose keeps the B best unfinished nodes and the B best finished ones.
func (b *beam) choose(nodes []*node) {
	b.live = nil
	for _, n := range nodes {
		switch {
		case n.Finished:
			b.done = append(b.done, n)
		case n.cutOff:
			b.cut = append(b.cut, n)
		default:
			b.live = append(b.live, n)
		}
	}
	byValue := func(x, y *node) int { return cmp.Compare(y.Value, x.Value) }
	keep := func(list []*node) []*node {
		slices.SortStableFunc(list, byValue)
		return list[:min(len(list), b.cfg.Width)]
	}
	b.live, b.done, b.cut = keep(b.live), keep(b.done), keep(b.cut)
	for _, n := range nodes {
		n.Kept = slices.Contains(b.live, n) || slices.Contains(b.done, n) || slices.Contains(b.cut, n)
		if !slices.Contains(b.live, n) {
			b.free(n)
		}
		if b.cfg.Trace != nil {
			b.cfg.Trace(n.Node)
		}
	}
}

// conclude lists what was found.
func (b *beam) conclude() *Result {
	unfinished := append(slices.Clone(b.live), b.cut...)
	slices.SortStableFunc(unfinished, func(x, y *node) int { return cmp.Compare(y.Value, x.Value) })
	for _, n := range append(slices.Clone(b.done), unfinished...) {
		b.result.Answers = append(b.result.Answers, Answer{
			Text: n.text, IDs: n.ids, Value: n.Value, LogProb: n.total, Steps: n.Step, Finished: n.Finished,
		})
	}
	return &b.result
}

// free gives the rows of nodes back.
func (b *beam) free(nodes ...*node) {
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
		b.Policy.Free(policy...)
	}
	if len(critic) > 0 {
		b.Critic.Free(critic...)
	}
}

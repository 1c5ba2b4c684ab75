package search

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/runtime/engine"
)

// rows are a pair of sequences that answers are drawn in, one after the other.
type rows struct{ policy, critic *engine.Seq }

// drawAnswers draws and values N answers, as many at once as there is room for.
// An answer is valued as soon as it is drawn, so that at any time some are ready.
func (t *tree) drawAnswers(ctx context.Context) error {
	n := t.cfg.Width
	limit := t.share(n)
	if limit < 1 {
		t.result.Reason = Tokens
		return nil
	}
	all, err := t.forkRoot(min(n, t.rows))
	if err != nil {
		return err
	}
	answers := make([]*node, n)
	seen := &seen{}
	g, ctx := errgroup.WithContext(ctx)
	for first, r := range all {
		g.Go(func() error {
			for i := first; i < n; i += len(all) {
				answers[i] = (&node{Node: Node{Question: t.cfg.Question}}).child()
				if err := t.answer(ctx, r, answers[i], i, limit, seen); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	t.broke = seen.broke.Load()
	t.collect(answers)
	t.keep(all, answers)
	t.result.Reason = Complete
	return err
}

// forkRoot returns n pairs of rows that hold the prompt, the first being the
// root's own.
func (t *tree) forkRoot(n int) ([]rows, error) {
	all := []rows{{t.policy, t.critic}}
	policy, err := t.m.Policy.Fork(n-1, t.policy)
	if err != nil {
		return nil, err
	}
	for _, seq := range policy[0] {
		all = append(all, rows{policy: seq})
	}
	if !t.m.apart() {
		return all, nil
	}
	critic, err := t.m.Critic.Fork(n-1, t.critic)
	if err != nil {
		t.m.Policy.Free(policy[0]...)
		return nil, err
	}
	for i, seq := range critic[0] {
		all[i+1].critic = seq
	}
	return all, nil
}

// seen are the answers drawn so far, so that none is valued twice.
type seen struct {
	sync.Mutex
	ids   [][]int
	broke atomic.Bool // one was cut by the token budget
}

func (s *seen) add(ids []int) (again bool) {
	s.Lock()
	defer s.Unlock()
	if slices.ContainsFunc(s.ids, func(o []int) bool { return slices.Equal(o, ids) }) {
		return true
	}
	s.ids = append(s.ids, ids)
	return false
}

// answer draws answer i into n, and values it.
func (t *tree) answer(ctx context.Context, r rows, n *node, i, limit int, seen *seen) error {
	if err := t.rewind(r.policy); err != nil {
		return err
	}
	w := t.newWriter(n, i, limit, true)
	if err := cmp.Or(t.m.Policy.Run(ctx, w.job(r.policy)), w.err); err != nil {
		return err
	}
	if w.broke {
		seen.broke.Store(true)
	}
	if t.m.Critic == nil || seen.add(n.ids) {
		return nil
	}
	values, err := t.alongAnswer(ctx, r, n)
	if err != nil {
		return err
	}
	return n.valued(t.cfg.Aggregate, values...)
}

// alongAnswer returns the values of the states after the steps of n.
func (t *tree) alongAnswer(ctx context.Context, r rows, n *node) (values []float64, err error) {
	var after []int // tokens
	for _, e := range n.ends {
		after = append(after, e.tokens)
	}
	if last := len(n.read); len(after) == 0 || after[len(after)-1] != last {
		after = append(after, last)
	}
	if t.m.alike() {
		job, any, err := t.rest(n, r.policy)
		if err == nil && any {
			err = t.m.Policy.Run(ctx, job)
		}
		if err != nil {
			return nil, err
		}
		for _, k := range after {
			values = append(values, n.states[k])
		}
		return values, nil
	}
	if err := t.rewind(r.critic); err != nil {
		return nil, err
	}
	r.critic.Append(n.read...)
	at := make([]int, len(after))
	for i, k := range after {
		at[i] = len(t.prompt) + k - 1
	}
	err = t.m.Critic.Run(ctx, engine.Job{Seq: r.critic, At: at, Step: func(_ int, v []float32) (int, bool) {
		values = append(values, float64(v[0]))
		return 0, false
	}})
	return values, err
}

// rewind brings a row back to the prompt, whose last token is to be run again.
func (t *tree) rewind(s *engine.Seq) error {
	last := len(t.prompt) - 1
	if err := s.Rewind(last); err != nil {
		return err
	}
	s.Append(t.prompt[last])
	return nil
}

// collect takes the answers in their order, joins those that came out the same,
// and traces them as chains of steps.
func (t *tree) collect(answers []*node) {
	var distinct []*node
	for _, n := range answers {
		if n == nil {
			continue // never begun
		}
		t.result.Tokens += n.Tokens
		if i := slices.IndexFunc(distinct, func(o *node) bool { return slices.Equal(o.ids, n.ids) }); i >= 0 {
			distinct[i].copies++
			if distinct[i].values == nil { // it was the other that was valued
				distinct[i].values, distinct[i].score, distinct[i].Value = n.values, n.score, n.Value
			}
			continue
		}
		distinct = append(distinct, n)
	}
	for _, n := range distinct {
		switch {
		case t.m.Critic != nil && n.values == nil, !n.Finished && !n.cutOff:
			t.drafts = append(t.drafts, n)
			continue
		case n.Finished:
			t.done = append(t.done, n)
		default:
			t.cut = append(t.cut, n)
		}
		t.trace(n)
		t.result.Steps = max(t.result.Steps, n.Step)
	}
}

// trace lists the steps of a whole answer.
func (t *tree) trace(n *node) {
	ends := n.ends
	if final := (mark{len(n.ids), len(n.text), n.total}); len(ends) == 0 || len(n.read) > ends[len(ends)-1].tokens {
		ends = append(slices.Clip(ends), final)
	} else {
		ends = slices.Clone(ends)
		ends[len(ends)-1] = final // the end token belongs to the last step
	}
	from, parent := mark{}, 0
	for i, e := range ends {
		t.result.Nodes++
		step := Node{
			Question: t.cfg.Question, Step: i + 1, ID: t.result.Nodes, Parent: parent, Text: n.text[min(from.bytes, len(n.text)):min(e.bytes, len(n.text))],
			Tokens: e.tokens - from.tokens, LogProb: e.total - from.total, Copies: n.copies, Kept: true, Finished: n.Finished && i == len(ends)-1,
		}
		if i < len(n.values) {
			step.Value = n.values[i]
		}
		if t.cfg.Trace != nil {
			t.cfg.Trace(step)
		}
		from, parent = e, step.ID
	}
	n.Step, n.ID = len(ends), parent
}

// keep makes the rows of the best answer the root's, and frees the others.
func (t *tree) keep(all []rows, answers []*node) {
	best := 0 // worker i draws the answers i, i + len(all), …
	var top *node
	for i, n := range answers {
		if n != nil && n.values != nil && (top == nil || n.score > top.score) {
			best, top = i%len(all), n
		}
	}
	for i, r := range all {
		if i == best {
			t.policy, t.critic = r.policy, r.critic
			continue
		}
		t.m.Policy.Free(r.policy)
		if r.critic != nil {
			t.m.Critic.Free(r.critic)
		}
	}
}

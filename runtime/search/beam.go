package search

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/oreo-go/oreo/runtime/engine"
)

// beams are candidates that compete with each other: all B of a beam search, or
// the one of each tree of DVTS.
type beams struct {
	tree  int
	width int
	live  []*node // at most width, best first
	done  []*node // finished, best first
}

// over tells whether further steps could change the best answer.
func (b *beams) over() bool {
	if len(b.live) == 0 {
		return true
	}
	return len(b.done) >= b.width && b.done[0].score >= b.live[0].score
}

// grow takes all beams step by step until they are over or a limit is reached.
func (t *tree) grow(ctx context.Context) error {
	all, err := t.sow()
	defer func() {
		for _, b := range all {
			t.live, t.done = append(t.live, b.live...), append(t.done, b.done...)
		}
		t.m.free(t.live...)
	}()
	for err == nil {
		var active []*beams
		rows := 0
		for _, b := range all {
			if !b.over() {
				active = append(active, b)
				rows += len(b.live) * t.cfg.Width
			}
		}
		switch {
		case len(active) == 0:
			t.result.Reason = Complete
			return nil
		case t.result.Steps == t.cfg.MaxSteps:
			t.result.Reason = Steps
			return nil
		case t.share(rows) < 1:
			t.result.Reason = Tokens
			return nil
		}
		err = t.grown(ctx, active, t.share(rows))
	}
	return err
}

// sow hands the root's rows to the beams.
func (t *tree) sow() ([]*beams, error) {
	root := &node{policy: t.policy, critic: t.critic, Node: Node{Question: t.cfg.Question}}
	t.policy, t.critic = nil, nil
	all := []*beams{{width: t.cfg.Width, live: []*node{root}}}
	if t.cfg.Method == Beam {
		return all, nil
	}
	all[0].width = 1
	policy, err := t.m.Policy.Fork(t.cfg.Width-1, root.policy)
	if err != nil {
		return all, err
	}
	for i, seq := range policy[0] {
		n := &node{policy: seq, Node: Node{Question: t.cfg.Question, Tree: i + 1}}
		all = append(all, &beams{tree: i + 1, width: 1, live: []*node{n}})
	}
	if t.m.alike() {
		return all, nil
	}
	critic, err := t.m.Critic.Fork(t.cfg.Width-1, root.critic)
	if err != nil {
		return all, err
	}
	for i, seq := range critic[0] {
		all[i+1].live[0].critic = seq
	}
	return all, nil
}

// grown takes the beams one step further, each draw with at most limit tokens.
func (t *tree) grown(ctx context.Context, active []*beams, limit int) error {
	t.result.Steps++
	drawn, err := t.draw(ctx, active, limit)
	if err != nil {
		return err
	}
	next := t.merge(drawn)
	if err := t.value(ctx, active, next); err != nil {
		t.m.free(next...)
		t.drafts = next
		return err
	}
	for _, b := range active {
		t.choose(b, next)
	}
	for _, n := range next {
		if t.cfg.Trace != nil {
			t.cfg.Trace(n.Node)
		}
	}
	return nil
}

// draw samples B next steps from each beam, all in one batch. The beams give
// their policy rows up to their children.
func (t *tree) draw(ctx context.Context, active []*beams, limit int) ([]*node, error) {
	if err := t.ready(ctx, active); err != nil {
		return nil, err
	}
	var seqs []*engine.Seq
	for _, b := range active {
		for _, p := range b.live {
			seqs = append(seqs, p.policy)
		}
	}
	forks, err := t.m.Policy.Fork(t.cfg.Width-1, seqs...)
	if err != nil {
		return nil, err
	}
	var children []*node
	var writers []*writer
	i := 0
	for _, b := range active {
		for k, p := range b.live {
			for j, seq := range append(forks[i], p.policy) {
				n := p.child()
				n.policy = seq
				children, writers = append(children, n), append(writers, t.newWriter(n, (b.tree+k)*t.cfg.Width+j, limit, false))
			}
			p.policy = nil
			i++
		}
	}
	err = t.m.Policy.Run(ctx, begin(writers)...)
	for _, w := range writers {
		t.result.Tokens += w.n.Tokens
		t.broke = t.broke || w.broke
		err = cmp.Or(err, w.err)
	}
	if err != nil {
		t.m.free(children...)
		t.drafts = children
		return nil, err
	}
	return children, nil
}

// ready runs the last token of each beam where that is still to be done: its
// draws all begin with the same logits.
func (t *tree) ready(ctx context.Context, active []*beams) error {
	var jobs []engine.Job
	for _, b := range active {
		for _, n := range b.live {
			if n.logits == nil {
				jobs = append(jobs, engine.Job{Seq: n.policy, Step: n.keep, Value: t.note(n)})
			}
		}
	}
	return t.m.Policy.Run(ctx, jobs...)
}

// keep is a Step that keeps the logits for the draws to come.
func (n *node) keep(_ int, logits []float32) (next int, more bool) {
	n.logits = slices.Clone(logits)
	return 0, false
}

// begin draws the first token of each, from the logits of the node it goes on
// from, and returns the jobs that draw the rest.
func begin(writers []*writer) (jobs []engine.Job) {
	more := make([]bool, len(writers))
	var wg sync.WaitGroup
	for i, w := range writers {
		wg.Go(func() {
			var next int
			if next, more[i] = w.step(0, w.n.parent.logits); more[i] {
				w.n.policy.Append(next)
			}
		})
	}
	wg.Wait()
	for i, w := range writers {
		w.n.parent.logits = nil
		if more[i] {
			jobs = append(jobs, w.job(w.n.policy))
		}
	}
	return jobs
}

// merge joins draws that came out the same, and numbers what is left. The token
// that ended a step was not run: it becomes the sequence's pending one.
func (t *tree) merge(drawn []*node) (distinct []*node) {
	for _, n := range drawn {
		same := slices.IndexFunc(distinct, func(o *node) bool { return o.parent == n.parent && slices.Equal(o.ids, n.ids) })
		if same >= 0 {
			distinct[same].Copies++
			distinct[same].copies++
			t.m.free(n)
			continue
		}
		t.result.Nodes++
		n.ID = t.result.Nodes
		n.Text = strings.TrimPrefix(n.text, n.parent.text)
		if len(n.text) < len(n.parent.text) {
			n.Text = "" // a stop text that began in the step before
		}
		switch {
		case t.m.alike(): // its row is to answer its value
		case n.Finished || n.cutOff:
			t.m.free(n)
		default:
			n.policy.Append(n.ids[len(n.ids)-1])
		}
		distinct = append(distinct, n)
	}
	return distinct
}

// value notes what the critic says of the state after each step, at its last
// token.
func (t *tree) value(ctx context.Context, active []*beams, nodes []*node) error {
	answers := make([]float64, len(nodes))
	var err error
	if t.m.alike() {
		err = t.askPolicy(ctx, nodes, answers)
	} else {
		err = t.askCritic(ctx, active, nodes, answers)
	}
	if err != nil {
		return err
	}
	for i, n := range nodes {
		if t.unread(n) == nil {
			n.Value = n.parent.Value
			continue
		}
		if err := n.valued(t.cfg.Aggregate, answers[i]); err != nil {
			return err
		}
	}
	return nil
}

// askCritic has the critic read the steps. The beams give their critic rows up to
// their children.
func (t *tree) askCritic(ctx context.Context, active []*beams, nodes []*node, answers []float64) error {
	if err := t.forkCritic(active, nodes); err != nil {
		return err
	}
	var jobs []engine.Job
	for i, n := range nodes {
		if t.unread(n) == nil {
			continue
		}
		n.critic.Append(t.unread(n)...)
		jobs = append(jobs, engine.Job{Seq: n.critic, Step: func(_ int, v []float32) (int, bool) {
			answers[i] = float64(v[0])
			return 0, false
		}})
	}
	return t.m.Critic.Run(ctx, jobs...)
}

// unread are the tokens of n that the critic has not seen; nil if it has valued
// this very state, which the end token or a stop text adds nothing to.
func (t *tree) unread(n *node) []int {
	if seen := len(n.parent.read); len(n.read) > seen {
		return n.read[seen:]
	}
	if n.parent.ID > 0 {
		return nil
	}
	return []int{} // the prompt, whose last token is pending
}

// forkCritic gives every child a copy of its parent's critic row, the last child
// the row itself.
func (t *tree) forkCritic(active []*beams, nodes []*node) error {
	children := map[*node][]*node{}
	for _, n := range nodes {
		children[n.parent] = append(children[n.parent], n)
	}
	var parents []*node
	var seqs []*engine.Seq
	var counts []int
	for _, b := range active {
		for _, p := range b.live {
			parents, seqs = append(parents, p), append(seqs, p.critic)
			counts = append(counts, len(children[p])-1) // every beam has a child
		}
	}
	forks, err := t.m.Critic.ForkEach(seqs, counts)
	if err != nil {
		return err
	}
	for i, p := range parents {
		rows := append(forks[i], p.critic)
		p.critic = nil
		for j, n := range children[p] {
			n.critic = rows[j]
		}
	}
	return nil
}

// choose keeps the best unfinished nodes of b's tree, and the best finished ones:
// all of them where they are to vote.
func (t *tree) choose(b *beams, nodes []*node) {
	b.live = nil
	var mine []*node
	for _, n := range nodes {
		if n.Tree != b.tree {
			continue
		}
		mine = append(mine, n)
		switch {
		case n.Finished:
			b.done = append(b.done, n)
		case n.cutOff:
			t.cut = append(t.cut, n)
		default:
			b.live = append(b.live, n)
		}
	}
	best := func(list []*node, most int) []*node {
		slices.SortStableFunc(list, byScore)
		return list[:min(len(list), most)]
	}
	doneMost := b.width
	if t.cfg.Choice != ByValue {
		doneMost = len(b.done)
	}
	b.live, b.done, t.cut = best(b.live, b.width), best(b.done, doneMost), best(t.cut, t.cfg.Width)
	for _, n := range mine {
		n.Kept = slices.Contains(b.live, n) || slices.Contains(b.done, n) || slices.Contains(t.cut, n)
		if !slices.Contains(b.live, n) {
			t.m.free(n)
		}
	}
}

func byScore(x, y *node) int { return cmp.Compare(y.score, x.score) }

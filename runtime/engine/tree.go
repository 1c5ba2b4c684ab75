package engine

import (
	"math"
	"slices"

	"github.com/oreo-go/oreo/runtime/kv"
)

// tree is a row of the cache and the sequences that live in it. Forks of a
// sequence stay in its row: what they have in common lies there once, each goes
// on in slots of its own, and a mask hides the others' from it. A pass takes new
// tokens of any of them as one sequence, so that the keys and values of a prefix
// are read once and not once per branch.
//
// Where the model takes no masks, every sequence has a row to itself.
type tree struct {
	row  *kv.Row
	seqs map[*Seq]bool
}

// join gives s a new row.
func (e *Engine) join(s *Seq) error {
	row, err := e.pool.New()
	if err != nil {
		return err
	}
	s.tree = &tree{row: row, seqs: map[*Seq]bool{s: true}}
	return nil
}

// leave takes s out of its tree, and gives the row back with the last one.
func (e *Engine) leave(s *Seq) {
	delete(s.tree.seqs, s)
	if len(s.tree.seqs) == 0 {
		e.pool.Free(s.tree.row)
	}
	s.tree, s.path = nil, nil
}

// fork returns a copy of s.
func (e *Engine) fork(s *Seq) (*Seq, error) {
	f := &Seq{e: e, ids: slices.Clone(s.ids)}
	if s.tree == nil {
		return f, nil
	}
	f.path = slices.Clone(s.path)
	if e.spec.TreeSlots > 0 {
		f.tree = s.tree
	} else {
		row, err := e.pool.ForkOf(s.tree.row, s.path)
		if err != nil {
			return nil, err
		}
		f.tree = &tree{row: row, seqs: map[*Seq]bool{}}
		f.straighten()
	}
	f.tree.seqs[f] = true
	return f, nil
}

// part moves sequences that have run the same tokens out of the tree they are in
// into one of their own.
func (e *Engine) part(seqs ...*Seq) error {
	from := seqs[0].tree
	if len(from.seqs) == len(seqs) {
		return nil
	}
	row, err := e.pool.ForkOf(from.row, seqs[0].path)
	if err != nil {
		return err
	}
	to := &tree{row: row, seqs: map[*Seq]bool{}}
	for _, s := range seqs {
		delete(from.seqs, s)
		s.tree, to.seqs[s] = to, true
		s.straighten()
	}
	return nil
}

// straighten notes that the tokens of s lie in order from the row's first slot.
func (s *Seq) straighten() {
	for i := range s.path {
		s.path[i] = i
	}
}

// prune gives back the slots of t that no sequence needs any more.
func (e *Engine) prune(t *tree) error {
	live := make([]bool, t.row.Len())
	for s := range t.seqs {
		for _, slot := range s.path {
			live[slot] = true
		}
	}
	to := make([]int, len(live)) // where a live slot goes
	var kept []int
	for slot := range live {
		if live[slot] {
			to[slot] = len(kept)
			kept = append(kept, slot)
		}
	}
	if len(kept) == len(live) {
		return nil
	}
	if err := e.pool.Keep(t.row, kept); err != nil {
		return err
	}
	for s := range t.seqs {
		for i, slot := range s.path {
			s.path[i] = to[slot]
		}
	}
	return nil
}

// What a pass costs beside the arithmetic of its products with weights, in the time
// that a new token takes for a slot of its tree, of its own branch or not (measured
// with SmolLM2-135M on a CPU).
const (
	slotCost = 4     // a slot of a row, which is read for a single token
	rowCost  = 64    // a row besides
	passCost = 14000 // a pass: all weights are read
)

// settle prepares a decode step: it returns the groups of jobs that go over one
// tree each, and the rest, which go over rows of their own. Each tree is a pass, and
// all rows together are one: trees give theirs up for it where that costs less.
func (e *Engine) settle(jobs []*running) (trees [][]*running, rows []*running, err error) {
	var poor [][]*running // trees not worth a pass, if there is one over rows
	saved := -passCost    // by these, if they share that pass
	for _, group := range byTree(jobs) {
		if len(group[0].Seq.tree.seqs) == 1 {
			rows = append(rows, group...)
			continue
		}
		gain, err := e.gain(group)
		switch {
		case err != nil:
			return nil, nil, err
		case gain >= passCost:
			trees = append(trees, group)
		default:
			poor = append(poor, group)
			saved += passCost - gain
		}
	}
	if len(rows) == 0 && saved <= 0 {
		return append(trees, poor...), nil, nil
	}
	for _, group := range poor {
		if err := e.pool.Reserve(len(group)); err != nil {
			return nil, nil, err
		}
		for _, j := range group {
			if err := e.part(j.Seq); err != nil {
				return nil, nil, err
			}
		}
		rows = append(rows, group...)
	}
	for _, j := range rows {
		if t := j.Seq.tree; t.row.Len() > len(j.Seq.path) { // others have left it
			if err := e.prune(t); err != nil {
				return nil, nil, err
			}
		}
	}
	return trees, rows, nil
}

// gain is what a decode step of jobs, all of one tree, costs less on the tree than
// on rows. A tree that has not slots enough gains nothing.
func (e *Engine) gain(jobs []*running) (int, error) {
	t, onRows := jobs[0].Seq.tree, 0
	for _, j := range jobs {
		onRows += slotCost*len(j.Seq.path) + rowCost
	}
	gain := func() int {
		if t.row.Len()+len(jobs) > e.spec.TreeSlots {
			return math.MinInt32
		}
		return onRows - t.row.Len()*len(jobs)
	}
	if g := gain(); g >= passCost {
		return g, nil
	}
	err := e.prune(t) // it may be worth more then
	return gain(), err
}

// divide prepares jobs, all of one tree, to be filled: what its branches have no use
// for is dropped, and those that went on from different tokens get trees of their own
// where a pass over each costs less than one over all. It returns the jobs by tree.
func (e *Engine) divide(jobs []*running) ([][]*running, error) {
	t := jobs[0].Seq.tree
	if len(t.seqs) == 1 {
		return [][]*running{jobs}, nil
	}
	if err := e.prune(t); err != nil {
		return nil, err
	}
	branches := groupBy(jobs, func(j *running) int { // by the slot of the last token that was run
		if len(j.Seq.path) == 0 {
			return -1
		}
		return j.Seq.path[len(j.Seq.path)-1]
	})
	size, apart := 0, -passCost
	for _, branch := range branches {
		n := 0
		for _, j := range branch {
			n += j.pending()
		}
		size += n
		apart += n*(len(branch[0].Seq.path)+n) + passCost
	}
	if size*(t.row.Len()+size) <= apart {
		return [][]*running{jobs}, nil
	}
	if err := e.pool.Reserve(len(branches)); err != nil {
		return nil, err
	}
	for _, branch := range branches {
		var seqs []*Seq
		for _, j := range branch {
			seqs = append(seqs, j.Seq)
		}
		if err := e.part(seqs...); err != nil {
			return nil, err
		}
	}
	return branches, e.prune(t) // of what is left in it
}

// byTree groups jobs by their sequences' trees.
func byTree(jobs []*running) [][]*running {
	return groupBy(jobs, func(j *running) *tree { return j.Seq.tree })
}

// groupBy groups jobs with the same key, in the order of their first ones.
func groupBy[K comparable](jobs []*running, key func(*running) K) (groups [][]*running) {
	at := map[K]int{}
	for _, j := range jobs {
		k := key(j)
		i, known := at[k]
		if !known {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], j)
	}
	return groups
}

// climb runs pending tokens of jobs of one tree as one sequence, at most
// Options.Chunk of them.
func (e *Engine) climb(jobs []*running) ([]answer, error) {
	jobs, fed, size, err := e.fit(jobs)
	if err != nil {
		return nil, err
	}
	t := jobs[0].Seq.tree
	if err := e.pool.Grow(t.row.Len() + size); err != nil {
		return nil, err
	}
	lo, err := e.pool.Gather([]*kv.Row{t.row})
	if err != nil {
		return nil, err
	}
	start := t.row.Len()
	b := &Batch{Lo: lo, B: 1, S: size, Write: []int64{int64(start)}, Used: []int64{int64(start + size)}}
	var answers []answer
	slot := start
	for i, j := range jobs {
		answers = append(answers, j.branch(b, slot, fed[i]))
		slot += fed[i]
	}
	if len(t.seqs) > 1 || len(jobs[0].Seq.path) != start {
		b.Bias = mask(jobs, fed, start, size)
	}
	if err := e.run(b, answers); err != nil {
		return nil, err
	}
	e.pool.Advance(t.row, size)
	slot = start
	for i, j := range jobs {
		for range fed[i] {
			j.Seq.path = append(j.Seq.path, slot)
			slot++
		}
	}
	e.stats.Tokens += size
	return answers, nil
}

// fit chooses how many tokens of each job the next pass over their tree takes. If
// the model has not slots enough for all, the first one goes on alone.
func (e *Engine) fit(jobs []*running) (some []*running, fed []int, size int, err error) {
	t := jobs[0].Seq.tree
	for _, j := range jobs {
		if n := min(j.pending(), e.opt.Chunk-size); n > 0 {
			some, fed = append(some, j), append(fed, n)
			size += n
		}
		if t.row.Len() == 0 {
			break // behind an empty row onnxruntime counts positions itself
		}
	}
	if t.row.Len()+size <= e.spec.TreeSlots {
		return some, fed, size, nil
	}
	if err := e.prune(t); err != nil || t.row.Len()+size <= e.spec.TreeSlots {
		return some, fed, size, err
	}
	return some[:1], fed[:1], fed[0], e.part(some[0].Seq)
}

// branch adds n pending tokens of j to b, behind those there are.
func (j *running) branch(b *Batch, slot, n int) answer {
	first := len(b.IDs)
	start := len(j.Seq.path)
	for i := range n {
		b.IDs = append(b.IDs, int64(j.Seq.ids[start+i]))
		b.Pos = append(b.Pos, int64(start+i))
	}
	a := answer{job: j}
	for len(j.at) > 0 && j.at[0] < start+n {
		b.Out = append(b.Out, int64(first+j.at[0]-start))
		a.at = append(a.at, j.at[0])
		j.at = j.at[1:]
	}
	return a
}

// mask is the Bias of a pass that adds fed[i] tokens of job i, in order, behind
// start slots: each sees its own sequence.
func mask(jobs []*running, fed []int, start, size int) []float32 {
	width := start + size
	bias := make([]float32, size*width)
	row := 0
	for i, j := range jobs {
		for k := range fed[i] {
			line := bias[row*width : (row+1)*width]
			if k == 0 {
				for s := range line {
					line[s] = Masked
				}
				for _, s := range j.Seq.path {
					line[s] = 0
				}
			} else {
				copy(line, bias[(row-1)*width:row*width])
			}
			line[start+row] = 0
			row++
		}
	}
	return bias
}

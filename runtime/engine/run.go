package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oreo-go/oreo/runtime/kv"
)

// Job asks for passes over one sequence.
type Job struct {
	Seq *Seq

	// At are the positions whose answers are wanted, ascending, none of them in
	// the cache yet. Nil is the last one.
	At []int

	// Step takes the answer of a position: logits [V] or a value [1], valid
	// during the call. Answers come in order. If that of the last position says
	// more, next is appended and run, and its answer follows; else the job is
	// done and next counts for nothing. Steps of different jobs may run at the
	// same time; they must not call the engine.
	//
	// A nil Step only fills the cache, with all tokens but the last: forks then
	// each have one pending token to ask about.
	Step func(pos int, answer []float32) (next int, more bool)

	// Value, which a model must be Valued for, is told the value of a position
	// before Step takes its answer. It may be nil.
	Value func(pos int, value float64)
}

// Run runs jobs together, in the same passes as those of other callers, until
// all are done. If ctx ends or a pass fails, the jobs stop between two passes and
// the first error is returned; sequences then hold what they had reached.
func (e *Engine) Run(ctx context.Context, jobs ...Job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g := &group{left: len(jobs), done: make(chan struct{})}
	if len(jobs) == 0 {
		return nil
	}
	started := make([]*running, len(jobs))
	for i, j := range jobs {
		started[i] = &running{Job: j, group: g}
	}
	var failed error
	if err := e.do(func() { failed = e.start(started) }); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		g.cancelled.Store(true)
		e.signal()
		<-g.done // until the loop has let go of the sequences
		if g.err == nil {
			g.err = ctx.Err()
		}
	}
	return g.err
}

// group is the jobs of one Run.
type group struct {
	cancelled atomic.Bool
	left      int   // owned by the loop, as is err until done is closed
	err       error // the first failure
	done      chan struct{}
}

// running is a job under way. The loop owns it.
type running struct {
	Job
	group *group
	at    []int // wanted positions not yet answered
	ended bool
}

// start checks the jobs of a group and takes them up, all or none.
func (e *Engine) start(jobs []*running) error {
	for _, j := range jobs {
		if err := e.check(j); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if j.Step == nil && j.pending() <= 0 {
			j.end(nil) // nothing to fill
			continue
		}
		e.jobs = append(e.jobs, j)
	}
	return nil
}

func (e *Engine) check(j *running) error {
	s := j.Seq
	n := s.Len()
	switch {
	case n == 0:
		return fmt.Errorf("engine: a job on an empty sequence")
	case n > e.spec.MaxPositions:
		return fmt.Errorf("%w: %d tokens, %d positions", ErrTooLong, n, e.spec.MaxPositions)
	}
	if s.tree == nil {
		if err := e.join(s); err != nil {
			return err
		}
	}
	for _, id := range s.ids[len(s.path):] {
		if id < 0 || id >= e.spec.Vocab {
			return fmt.Errorf("engine: token %d lies outside the vocabulary of %d", id, e.spec.Vocab)
		}
	}
	if j.Value != nil && !e.spec.Valued {
		return fmt.Errorf("engine: a job asks for values, which its model does not answer")
	}
	if j.Step == nil {
		return nil
	}
	j.at = slices.Clone(j.At)
	if j.at == nil {
		j.at = []int{n - 1}
	}
	if !slices.IsSorted(j.at) || len(j.at) == 0 || j.at[0] < len(s.path) || j.at[len(j.at)-1] >= n {
		return fmt.Errorf("engine: positions %v are wanted of %d tokens, %d of them run already", j.at, n, len(s.path))
	}
	return nil
}

// pending is the number of tokens the job still has to run.
func (j *running) pending() int {
	n := j.Seq.Len() - len(j.Seq.path)
	if j.Step == nil {
		n--
	}
	return n
}

func (j *running) end(err error) {
	j.ended = true
	g := j.group
	if g.err == nil {
		g.err = err
	}
	if err != nil {
		g.cancelled.Store(true) // the rest of the group stops too
	}
	if g.left--; g.left == 0 {
		close(g.done)
	}
}

// dropped tells whether the job is over, ending it if its group was cancelled.
func (j *running) dropped() bool {
	if !j.ended && j.group.cancelled.Load() {
		j.end(nil) // Run knows why
	}
	return j.ended
}

// round runs a chunk of waiting prefill, then one decode step of all others.
func (e *Engine) round() {
	if e.spec.Segments {
		e.mixed()
		return
	}
	var fill, decode []*running
	filled := map[*tree]bool{}
	for _, j := range e.jobs {
		if j.pending() > 1 {
			fill = append(fill, j)
			filled[j.Seq.tree] = true
		}
	}
	for _, j := range e.jobs {
		switch {
		case j.pending() > 1:
		case filled[j.Seq.tree]: // its token goes along
			fill = append(fill, j)
		default:
			decode = append(decode, j)
		}
	}
	if len(fill) > 0 && e.spec.TreeSlots == 0 {
		jobs, size := e.prefill(fill)
		e.pass(jobs, func() ([]answer, error) { return e.forward(jobs, size) })
	}
	if len(fill) > 0 && e.spec.TreeSlots > 0 {
		e.fillTrees(fill)
	}
	if len(decode) > 0 {
		e.decode(decode)
	}
}

// fillTrees runs a chunk of prefill, tree by tree.
func (e *Engine) fillTrees(waiting []*running) {
	before := e.stats.Tokens
	for _, whole := range byTree(waiting) {
		parts, err := e.divide(whole)
		if err != nil {
			e.pass(whole, func() ([]answer, error) { return nil, err })
			continue
		}
		for _, jobs := range parts {
			e.pass(jobs, func() ([]answer, error) { return e.climb(jobs) })
			if e.stats.Tokens-before >= e.opt.Chunk {
				return
			}
		}
	}
}

// decode runs one token of each job.
func (e *Engine) decode(jobs []*running) {
	trees, rows, err := e.settle(jobs)
	if err != nil {
		for _, j := range jobs {
			j.end(err)
		}
		return
	}
	for _, group := range trees {
		e.pass(group, func() ([]answer, error) { return e.climb(group) })
	}
	if len(rows) > 0 {
		e.pass(rows, func() ([]answer, error) { return e.forward(rows, 1) })
	}
}

// prefill chooses the jobs and the number of tokens S of the next prefill pass
// over rows: the oldest job and those that fill S well, so that padding stays
// under half.
func (e *Engine) prefill(waiting []*running) (jobs []*running, size int) {
	size = min(waiting[0].pending(), e.opt.Chunk)
	for _, j := range waiting {
		if j.pending() > size/2 && (len(jobs)+1)*size <= max(e.opt.Chunk, size) {
			jobs = append(jobs, j)
		}
	}
	return jobs, size
}

// pass runs pending tokens of jobs and delivers the answers.
func (e *Engine) pass(jobs []*running, run func() ([]answer, error)) {
	answers, err := run()
	if err != nil {
		for _, j := range jobs {
			j.end(err)
		}
		return
	}
	e.deliver(answers)
}

// answer is a job and what a pass answered for it.
type answer struct {
	job    *running
	at     []int // positions
	out    []float32
	values []float32 // nil unless the job asks
	next   int
	more   bool
}

// forward runs up to size pending tokens of each job over rows of their own.
func (e *Engine) forward(jobs []*running, size int) ([]answer, error) {
	byRow := make(map[*kv.Row]*running, len(jobs))
	rows := make([]*kv.Row, len(jobs))
	room := 0
	for i, j := range jobs {
		rows[i] = j.Seq.tree.row
		byRow[rows[i]] = j
		room = max(room, rows[i].Len()+size)
	}
	if err := e.pool.Grow(room); err != nil {
		return nil, err
	}
	lo, err := e.pool.Gather(rows)
	if err != nil {
		return nil, err
	}
	b := &Batch{Lo: lo, B: len(rows), S: size}
	var answers []answer
	fed := make([]int, len(rows))
	for i, r := range rows {
		j := byRow[r]
		fed[i] = min(j.pending(), size)
		e.fillRow(b, j.Seq, fed[i])
		a := answer{job: j}
		for len(j.at) > 0 && j.at[0] < r.Len()+fed[i] {
			b.Out = append(b.Out, int64(i*size+j.at[0]-r.Len()))
			a.at = append(a.at, j.at[0])
			j.at = j.at[1:]
		}
		answers = append(answers, a)
	}
	if err := e.run(b, answers); err != nil {
		return nil, err
	}
	for i, r := range rows {
		byRow[r].Seq.advance(fed[i])
		e.stats.Tokens += fed[i]
	}
	return answers, nil
}

// run runs a pass and shares out what it answers.
func (e *Engine) run(b *Batch, answers []answer) error {
	b.Values = slices.ContainsFunc(answers, func(a answer) bool { return a.job.Value != nil && len(a.at) > 0 })
	out, err := e.model.Forward(b)
	if err != nil {
		return err
	}
	width := e.spec.Width
	split, want := len(b.Out)*width, len(b.Out)*width
	if b.Values {
		want += len(b.Out)
	}
	if len(out) != want {
		return fmt.Errorf("engine: model answered %d numbers for %d positions, want %d", len(out), len(b.Out), want)
	}
	values := out[split:]
	for i := range answers {
		a := &answers[i]
		n := len(a.at)
		a.out, out = out[:n*width], out[n*width:]
		if b.Values {
			a.values, values = values[:n], values[n:]
		}
	}
	e.stats.Passes++
	e.stats.Positions += len(b.IDs)
	e.stats.Answers += len(b.Out)
	return nil
}

// fillRow adds n pending tokens of s to the batch, padded with token 0. Padding
// keeps to positions the model has.
func (e *Engine) fillRow(b *Batch, s *Seq, n int) {
	start := len(s.path)
	for i := range b.S {
		id := 0
		if i < n {
			id = s.ids[start+i]
		}
		b.IDs = append(b.IDs, int64(id))
		b.Pos = append(b.Pos, int64(min(start+i, e.spec.MaxPositions-1)))
	}
	b.Write = append(b.Write, int64(start))
	b.Used = append(b.Used, int64(start+b.S))
}

// parallelFrom is the number of answered numbers from which Steps are worth
// spreading over goroutines.
const parallelFrom = 1 << 15

// deliver calls the Steps and takes their decisions.
func (e *Engine) deliver(answers []answer) {
	workers := 1
	if len(answers) > 1 && len(answers[0].out)*len(answers) >= parallelFrom {
		workers = min(runtime.GOMAXPROCS(0), len(answers))
	}
	var wg sync.WaitGroup
	var turn atomic.Int64
	for range workers {
		wg.Go(func() {
			for i := turn.Add(1) - 1; int(i) < len(answers); i = turn.Add(1) - 1 {
				answers[i].step(e.spec.Width)
			}
		})
	}
	wg.Wait()
	for _, a := range answers {
		j := a.job
		switch {
		case j.Step == nil:
			if j.pending() <= 0 {
				j.end(nil)
			}
		case len(j.at) > 0: // more chunks follow
		case !a.more:
			j.end(nil)
		case j.Seq.Len() >= e.spec.MaxPositions:
			j.end(fmt.Errorf("%w: %d positions", ErrTooLong, e.spec.MaxPositions))
		case a.next < 0 || a.next >= e.spec.Vocab:
			j.end(fmt.Errorf("engine: Step chose token %d, the vocabulary has %d", a.next, e.spec.Vocab))
		default:
			j.Seq.ids = append(j.Seq.ids, a.next)
			j.at = append(j.at, j.Seq.Len()-1)
		}
	}
}

func (a *answer) step(width int) {
	if a.job.Step == nil {
		return
	}
	for i, pos := range a.at {
		if a.job.Value != nil {
			a.job.Value(pos, float64(a.values[i]))
		}
		a.next, a.more = a.job.Step(pos, a.out[i*width:(i+1)*width])
	}
}

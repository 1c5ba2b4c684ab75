package enginetest

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/oreo-go/oreo/runtime/engine"
)

// Contract runs the suite on a model. Answers must agree within tol. newModel
// may return the same model each time: one engine lives at a time.
func Contract(t *testing.T, newModel func(*testing.T) engine.Model, tol float64) {
	t.Helper()
	suite := &contract{newModel: newModel, tol: tol}
	t.Run("chunked is whole", suite.chunked)
	t.Run("ragged batch is one by one", suite.ragged)
	t.Run("fork is recompute", suite.fork)
	t.Run("rewind", suite.rewind)
	t.Run("growth", suite.growth)
	t.Run("joining and leaving", suite.churn)
	t.Run("values besides", suite.values)
}

type contract struct {
	newModel func(*testing.T) engine.Model
	tol      float64
}

func (c *contract) open(t *testing.T, opt engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(c.newModel(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// tokens returns n arbitrary tokens, fixed by seed.
func tokens(e *engine.Engine, seed uint64, n int) []int {
	rng := rand.New(rand.NewPCG(seed, 7))
	ids := make([]int, n)
	for i := range ids {
		ids[i] = rng.IntN(e.Spec().Vocab)
	}
	return ids
}

// whole answers every position of ids, on an engine that does nothing else.
func whole(t *testing.T, e *engine.Engine, ids []int) [][]float32 {
	t.Helper()
	s := e.NewSeq()
	s.Append(ids...)
	defer e.Free(s)
	all := make([]int, len(ids))
	for i := range all {
		all[i] = i
	}
	var out [][]float32
	job := engine.Job{Seq: s, At: all, Step: func(_ int, a []float32) (int, bool) {
		out = append(out, append([]float32(nil), a...))
		return 0, false
	}}
	if err := e.Run(context.Background(), job); err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *contract) same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= c.tol) {
			t.Fatalf("%s: number %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func (c *contract) chunked(t *testing.T) {
	ref := c.open(t, engine.Options{})
	ids := tokens(ref, 1, 41)
	want := whole(t, ref, ids)
	ref.Close()
	for _, chunk := range []int{1, 7, 40} {
		e := c.open(t, engine.Options{Chunk: chunk})
		for i, got := range whole(t, e, ids) {
			c.same(t, "position", got, want[i])
		}
		e.Close()
	}
}

func (c *contract) ragged(t *testing.T) {
	e := c.open(t, engine.Options{Chunk: 64})
	lengths := []int{1, 2, 30, 17, 16, 5, 64}
	jobs := make([]engine.Job, len(lengths))
	got := make([][]float32, len(lengths))
	var want [][]float32
	for i, n := range lengths {
		ids := tokens(e, uint64(i), n)
		all := whole(t, e, ids)
		want = append(want, all[n-1])
		s := e.NewSeq()
		s.Append(ids...)
		jobs[i] = engine.Job{Seq: s, Step: func(_ int, a []float32) (int, bool) {
			got[i] = append([]float32(nil), a...)
			return 0, false
		}}
	}
	if err := e.Run(context.Background(), jobs...); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		c.same(t, "row", got[i], want[i])
	}
}

// fork fills a prefix once, continues it in several ways at once, and compares
// with whole sequences.
func (c *contract) fork(t *testing.T) {
	e := c.open(t, engine.Options{})
	prefix := tokens(e, 2, 23)
	root := e.NewSeq()
	root.Append(prefix...)
	if err := e.Run(context.Background(), engine.Job{Seq: root}); err != nil {
		t.Fatal(err)
	}
	forks, err := e.Fork(3, root)
	if err != nil {
		t.Fatal(err)
	}
	seqs := append(forks[0], root)
	got := c.extend(t, e, seqs, 5)
	e.Free(seqs...)
	for i, s := range seqs {
		all := whole(t, e, s.IDs())
		c.same(t, "fork", got[i], all[len(all)-1])
	}
}

// extend appends n+i tokens to sequence i and returns the last answers.
func (c *contract) extend(t *testing.T, e *engine.Engine, seqs []*engine.Seq, n int) [][]float32 {
	t.Helper()
	got := make([][]float32, len(seqs))
	jobs := make([]engine.Job, len(seqs))
	for i, s := range seqs {
		s.Append(tokens(e, uint64(100+i), n+i)...)
		jobs[i] = engine.Job{Seq: s, Step: func(_ int, a []float32) (int, bool) {
			got[i] = append([]float32(nil), a...)
			return 0, false
		}}
	}
	if err := e.Run(context.Background(), jobs...); err != nil {
		t.Fatal(err)
	}
	return got
}

func (c *contract) rewind(t *testing.T) {
	e := c.open(t, engine.Options{})
	s := e.NewSeq()
	s.Append(tokens(e, 3, 30)...)
	for _, keep := range []int{12, 12, 3, 0} {
		c.extend(t, e, []*engine.Seq{s}, 4)
		if err := s.Rewind(keep); err != nil {
			t.Fatal(err)
		}
		got := c.extend(t, e, []*engine.Seq{s}, 9)
		all := whole(t, e, s.IDs())
		c.same(t, "after rewind", got[0], all[len(all)-1])
	}
}

// values asks for the values besides, of forks that decode beside a job that does
// not ask, and compares with those of all tokens in chunks.
func (c *contract) values(t *testing.T) {
	e := c.open(t, engine.Options{Chunk: 7})
	root := e.NewSeq()
	root.Append(tokens(e, 6, 20)...)
	first := root.Len() - 1
	silent := engine.Job{Seq: root, Step: func(int, []float32) (int, bool) { return 0, false }}
	note := func(to *[]float32) func(int, float64) {
		return func(_ int, v float64) { *to = append(*to, float32(v)) }
	}
	var got [3][]float32
	if !e.Spec().Valued {
		silent.Value = note(&got[0])
		if e.Run(context.Background(), silent) == nil {
			t.Error("values of a model that has none")
		}
		return
	}
	run := func(jobs ...engine.Job) {
		t.Helper()
		if err := e.Run(context.Background(), jobs...); err != nil {
			t.Fatal(err)
		}
	}
	run(engine.Job{Seq: root})
	forks, err := e.Fork(len(got), root)
	if err != nil {
		t.Fatal(err)
	}
	jobs := []engine.Job{silent}
	for i, s := range forks[0] {
		last := first + 1 + 3*i
		jobs = append(jobs, engine.Job{Seq: s, Value: note(&got[i]), Step: func(pos int, _ []float32) (int, bool) {
			return (5*pos + i) % e.Spec().Vocab, pos < last
		}})
	}
	run(jobs...)
	for i, s := range forks[0] {
		whole := e.NewSeq()
		whole.Append(s.IDs()...)
		var want []float32
		job := engine.Job{Seq: whole, Value: note(&want), Step: silent.Step}
		for pos := first; pos < whole.Len(); pos++ {
			job.At = append(job.At, pos)
		}
		run(job)
		if len(got[i]) != len(want) || len(want) != 2+3*i {
			t.Fatalf("%d values, then %d", len(got[i]), len(want))
		}
		c.same(t, "value", got[i], want)
		e.Free(whole)
	}
	e.Free(append(forks[0], root)...)
}

// growth lets one sequence fill the model's positions, forks of it and a stranger
// beside it: the cache has to grow again and again, and keeps what all of them hold.
func (c *contract) growth(t *testing.T) {
	e := c.open(t, engine.Options{})
	limit := min(e.Spec().MaxPositions, 400)
	short, long := e.NewSeq(), e.NewSeq()
	short.Append(tokens(e, 4, 6)...)
	long.Append(tokens(e, 5, 9)...)
	seqs := []*engine.Seq{short, long}
	longest := func() int { return slices.MaxFunc(seqs, func(a, b *engine.Seq) int { return a.Len() - b.Len() }).Len() }
	for longest()+20+2*len(seqs)+5 < limit {
		c.extend(t, e, seqs[1:], 20)
		forks, err := e.Fork(1, long)
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, forks[0]...)
	}
	got := c.extend(t, e, seqs, 3)
	e.Free(seqs...)
	for i, s := range seqs {
		all := whole(t, e, s.IDs())
		c.same(t, "after growth", got[i], all[len(all)-1])
	}
}

// churn lets sequences of many callers start, grow by decoding, fork and end at
// random, and checks the last answer of each against the whole sequence.
func (c *contract) churn(t *testing.T) {
	e := c.open(t, engine.Options{MaxRows: 12, Chunk: 32})
	type result struct {
		ids  []int
		last []float32
	}
	results := make([][]result, 8)
	var wg sync.WaitGroup
	for caller := range results {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(caller), 3))
			for range 3 {
				lease, err := e.Reserve(context.Background(), 3)
				if err != nil {
					t.Error(err)
					return
				}
				root := e.NewSeq()
				root.Append(tokens(e, rng.Uint64(), 1+rng.IntN(30))...)
				if err := e.Run(context.Background(), engine.Job{Seq: root}); err != nil {
					t.Error(err)
				}
				forks, err := e.Fork(2, root)
				if err != nil {
					t.Error(err)
					return
				}
				seqs := append(forks[0], root)
				last := decode(t, e, seqs, rng)
				for i, s := range seqs {
					results[caller] = append(results[caller], result{s.IDs(), last[i]})
				}
				e.Free(seqs...)
				lease.Close()
			}
		})
	}
	wg.Wait()
	for _, rs := range results {
		for _, r := range rs {
			all := whole(t, e, r.ids)
			c.same(t, "after churn", r.last, all[len(all)-1])
		}
	}
}

// decode runs each sequence for a random number of tokens and returns the last answers.
func decode(t *testing.T, e *engine.Engine, seqs []*engine.Seq, rng *rand.Rand) [][]float32 {
	last := make([][]float32, len(seqs))
	jobs := make([]engine.Job, len(seqs))
	for i, s := range seqs {
		left := rng.IntN(20)
		seed := rng.Uint64()
		jobs[i] = engine.Job{Seq: s, Step: func(pos int, a []float32) (int, bool) {
			last[i] = append([]float32(nil), a...)
			left--
			return int((seed + uint64(pos)*2654435761) % uint64(e.Spec().Vocab)), left > 0
		}}
	}
	if err := e.Run(context.Background(), jobs...); err != nil {
		t.Error(err)
	}
	return last
}

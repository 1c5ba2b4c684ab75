package engine_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/enginetest"
)

var spec = engine.Spec{Width: 40, Vocab: 40, MaxPositions: 100}

func open(t *testing.T, m engine.Model, opt engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(m, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestContract(t *testing.T) {
	trees := spec
	trees.TreeSlots = 100
	valued, valuedTrees := spec, trees
	valued.Valued, valuedTrees.Valued = true, true
	segments := valuedTrees
	segments.Segments = true
	for name, s := range map[string]engine.Spec{
		"policy": spec, "critic": {Width: 1, Vocab: 40, MaxPositions: 100}, "policy with trees": trees,
		"policy with values": valued, "policy with values and trees": valuedTrees,
		"policy with segments": segments,
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.Contract(t, func(*testing.T) engine.Model { return enginetest.Random(s) }, 0)
		})
	}
}

// A prefix that n samples share is run once: the work is prefix + n*(1+new).
func TestPrefixIsRunOnce(t *testing.T) {
	e := open(t, enginetest.Random(spec), engine.Options{})
	root := e.NewSeq()
	root.Append(make([]int, 50)...)
	if err := e.Run(context.Background(), engine.Job{Seq: root}); err != nil {
		t.Fatal(err)
	}
	forks, err := e.Fork(4, root)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []engine.Job
	for _, s := range forks[0] {
		left := 10
		jobs = append(jobs, engine.Job{Seq: s, Step: func(int, []float32) (int, bool) { left--; return 1, left > 0 }})
	}
	if err := e.Run(context.Background(), jobs...); err != nil {
		t.Fatal(err)
	}
	if got := e.Stats(); got.Tokens != 49+4*10 || got.Passes != 1+10 {
		t.Errorf("%+v, want 89 tokens in 11 passes", got)
	}
}

// counted is a fake that remembers its passes.
type counted struct {
	*enginetest.Fake
	trees, rows int
	cost        int // of attention: new tokens times slots
}

func (c *counted) Forward(b *engine.Batch) ([]float32, error) {
	if b.Bias != nil {
		c.trees++
	} else {
		c.rows++
	}
	for _, used := range b.Used {
		c.cost += b.S * int(used)
	}
	return c.Fake.Forward(b)
}

// Branches of a long prefix are decoded over one row; once they are long
// themselves, or few among many, they get rows of their own.
func TestBranchesShareARowWhileItPays(t *testing.T) {
	trees := spec
	trees.MaxPositions, trees.TreeSlots = 2000, 2000
	for name, c := range map[string]struct {
		prefix, branches, others, tokens int
		trees                            bool
	}{
		"long prefix":           {500, 10, 0, 20, true},
		"few, alone":            {500, 3, 0, 20, true},
		"few, not alone":        {500, 3, 4, 20, false},
		"many, not alone":       {500, 10, 4, 20, true},
		"some, not alone":       {300, 10, 4, 20, false},
		"short prefix at first": {10, 10, 0, 4, true},
		"short prefix":          {10, 10, 0, 60, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &counted{Fake: enginetest.Random(trees)}
			e := open(t, m, engine.Options{})
			root, lone := e.NewSeq(), e.NewSeq()
			root.Append(make([]int, c.prefix)...)
			lone.Append(5)
			if err := e.Run(context.Background(), engine.Job{Seq: root}); err != nil {
				t.Fatal(err)
			}
			forks, err := e.Fork(c.branches-1, root)
			if err != nil {
				t.Fatal(err)
			}
			seqs := append(forks[0], root)
			for range c.others {
				s := e.NewSeq()
				s.Append(7)
				seqs = append(seqs, s)
			}
			var jobs []engine.Job
			for i, s := range seqs {
				left := c.tokens
				jobs = append(jobs, engine.Job{Seq: s, Step: func(int, []float32) (int, bool) { left--; return i, left > 0 }})
			}
			if err := e.Run(context.Background(), jobs...); err != nil {
				t.Fatal(err)
			}
			if all := m.trees >= c.tokens; all != c.trees {
				t.Errorf("%d passes over trees, %d over rows", m.trees, m.rows)
			}
			e.Free(seqs...)
			e.Stats()
			if m.Held() != 0 {
				t.Error("the cache was not given back")
			}
		})
	}
}

// A critic reads the steps of a beam search in one pass over their tree, or in one for
// each beam where there are many; neither looks at steps that were given up.
func TestStepsAreReadInAsManyPassesAsPay(t *testing.T) {
	trees := spec
	trees.MaxPositions, trees.TreeSlots = 4000, 4000
	const prompt, step, steps = 200, 15, 3
	for width, passes := range map[int]int{3: 1, 7: 7} {
		m := &counted{Fake: enginetest.Random(trees)}
		e := open(t, m, engine.Options{Chunk: 2000})
		root := e.NewSeq()
		root.Append(make([]int, prompt)...)
		beams := []*engine.Seq{root}
		read := func() {
			t.Helper()
			var jobs []engine.Job
			for i, s := range beams {
				for k := range step {
					s.Append((i + k%2) % spec.Vocab)
				}
				jobs = append(jobs, engine.Job{Seq: s, Step: func(int, []float32) (int, bool) { return 0, false }})
			}
			if err := e.Run(context.Background(), jobs...); err != nil {
				t.Fatal(err)
			}
		}
		read()
		for range steps {
			forks, err := e.Fork(width-1, beams...)
			if err != nil {
				t.Fatal(err)
			}
			beams = append(beams, slices.Concat(forks...)...)
			m.cost = 0
			before := e.Stats()
			read()
			after := e.Stats()
			if len(beams) == width*width {
				if got := after.Passes - before.Passes; got != passes {
					t.Errorf("width %d: %d passes, want %d", width, got, passes)
				}
				held := prompt + step + width/passes*(steps-1)*step // by a row that the pass is over
				if most := width * width * step * (held + width*width*step/passes); m.cost > most {
					t.Errorf("width %d: new tokens times slots %d, want at most %d", width, m.cost, most)
				}
			}
			e.Free(beams[width:]...)
			beams = beams[:width]
		}
		e.Free(beams...)
	}
}

// Rows of another caller join the passes of one that is under way.
func TestCallersShareBatches(t *testing.T) {
	m := enginetest.Random(spec)
	e := open(t, m, engine.Options{})
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			s := e.NewSeq()
			s.Append(1)
			left := 60
			<-gate
			err := e.Run(context.Background(), engine.Job{Seq: s, Step: func(int, []float32) (int, bool) {
				left--
				time.Sleep(100 * time.Microsecond)
				return 1, left > 0
			}})
			if err != nil {
				t.Error(err)
			}
			e.Free(s)
		})
	}
	close(gate)
	wg.Wait()
	if got := e.Stats(); got.Tokens != 240 || got.Passes > 120 {
		t.Errorf("%+v, want 240 tokens in far fewer passes", got)
	}
}

func TestCancelKeepsWhatWasReached(t *testing.T) {
	m := enginetest.Random(spec)
	e := open(t, m, engine.Options{})
	for range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		s := e.NewSeq()
		s.Append(3)
		n := 0
		err := e.Run(ctx, engine.Job{Seq: s, Step: func(int, []float32) (int, bool) {
			if n++; n == 20 {
				cancel()
			}
			time.Sleep(10 * time.Microsecond)
			return 2, n < 90
		}})
		if n < 90 && !errors.Is(err, context.Canceled) {
			t.Fatalf("%d tokens, %v", n, err)
		}
		if s.Len() < 20 {
			t.Fatalf("%d tokens kept", s.Len())
		}
		e.Free(s)
	}
	e.Stats() // behind the last Free
	if m.Held() != 0 {
		t.Errorf("the cache still has room for %d tokens", m.Held())
	}
}

func TestErrors(t *testing.T) {
	m := enginetest.Random(spec)
	e := open(t, m, engine.Options{MaxRows: 4})
	run := func(j engine.Job, ids ...int) error {
		j.Seq = e.NewSeq()
		j.Seq.Append(ids...)
		defer e.Free(j.Seq)
		return e.Run(context.Background(), j)
	}
	once := func(int, []float32) (int, bool) { return 0, false }
	on := func(int, []float32) (int, bool) { return 1, true }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"empty":         {run(engine.Job{Step: once}), "empty sequence"},
		"too long":      {run(engine.Job{Step: once}, make([]int, 101)...), "101 tokens, 100 positions"},
		"grows too far": {run(engine.Job{Step: on}, 1), "100 positions"},
		"foreign token": {run(engine.Job{Step: once}, 1, 40), "token 40"},
		"bad choice":    {run(engine.Job{Step: func(int, []float32) (int, bool) { return -1, true }}, 1), "token -1"},
		"bad position":  {run(engine.Job{At: []int{2}, Step: once}, 1), "positions [2]"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if _, err := e.Reserve(context.Background(), 5); !errors.Is(err, engine.ErrRows) {
		t.Errorf("too many rows: %v", err)
	}
	boom := errors.New("boom")
	m.Fail.Store(&boom)
	if err := run(engine.Job{Step: once}, 1); !errors.Is(err, boom) {
		t.Errorf("failing model: %v", err)
	}
	m.Fail.Store(nil)
	if err := run(engine.Job{Step: once}, 1); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	e.Close()
	if err := run(engine.Job{Step: once}, 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReserveIsFirstComeFirstServed(t *testing.T) {
	e := open(t, enginetest.Random(spec), engine.Options{MaxRows: 4})
	lease, err := e.Reserve(context.Background(), 3)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := e.Reserve(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fifth row was granted: %v", err)
	}
	lease.GiveBack()
	if _, err := e.Reserve(context.Background(), 2); err != nil {
		t.Error(err)
	}
	lease.Close()
	lease.Close() // twice is once
	if _, err := e.Reserve(context.Background(), 2); err != nil {
		t.Error(err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		m := enginetest.Random(spec)
		e, err := engine.New(m, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := e.NewSeq()
		s.Append(1)
		done := make(chan error)
		go func() {
			done <- e.Run(context.Background(), engine.Job{Seq: s, Step: func(int, []float32) (int, bool) {
				time.Sleep(50 * time.Microsecond)
				return 1, s.Len() < 99
			}})
		}()
		time.Sleep(time.Millisecond)
		e.Close()
		if err := <-done; err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
		if m.Held() != 0 {
			t.Error("the cache was not given back")
		}
	}
	time.Sleep(10 * time.Millisecond)
	if after := runtime.NumGoroutine(); after > before+1 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// A model that takes segments runs one pass for all there is to do: prompts and single
// tokens, branches of several trees. Slots that nobody needs go before the cache grows.
func TestSegmentsShareEveryPass(t *testing.T) {
	segments := spec
	segments.MaxPositions, segments.TreeSlots, segments.Segments = 2000, 2000, true
	m := enginetest.Random(segments)
	e := open(t, m, engine.Options{Chunk: 100})
	var jobs []engine.Job
	var seqs []*engine.Seq
	for _, prefix := range []int{30, 40, 250} {
		root := e.NewSeq()
		root.Append(make([]int, prefix)...)
		if prefix < 100 {
			if err := e.Run(context.Background(), engine.Job{Seq: root}); err != nil {
				t.Fatal(err)
			}
		}
		forks, err := e.Fork(4, root)
		if err != nil {
			t.Fatal(err)
		}
		if prefix > 100 {
			e.Free(forks[0]...)
			forks[0] = nil
		}
		for _, s := range append(forks[0], root) {
			left := 5
			jobs = append(jobs, engine.Job{Seq: s, Step: func(int, []float32) (int, bool) { left--; return len(jobs) % 40, left > 0 }})
			seqs = append(seqs, s)
		}
	}
	before := e.Stats()
	if err := e.Run(context.Background(), jobs...); err != nil {
		t.Fatal(err)
	}
	after := e.Stats()
	if got, want := after.Passes-before.Passes, 3+4; got != want { // the long prompt in chunks of 100, and its other tokens
		t.Errorf("%d passes, want %d", got, want)
	}
	if got, want := after.Tokens-before.Tokens, 2*5*5+250+4; got != want || after.Positions-before.Positions != want {
		t.Errorf("%d tokens, want %d, and no padding (%d positions)", got, want, after.Positions-before.Positions)
	}
	room := m.Held()
	for range 50 { // branches come and go on one root
		forks, err := e.Fork(10, seqs[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range forks[0] {
			s.Append(1, 2, 3)
			if err := e.Run(context.Background(), engine.Job{Seq: s}); err != nil {
				t.Fatal(err)
			}
		}
		e.Free(forks[0]...)
	}
	if m.Held() > room {
		t.Errorf("room for %d tokens a row grew to %d, though no more are needed", room, m.Held())
	}
	e.Free(seqs...)
	e.Stats()
	if m.Held() != 0 {
		t.Error("the cache was not given back")
	}
}

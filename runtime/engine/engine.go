// Package engine runs many token sequences through one model at once. Sequences
// join and leave the batch at any token (continuous batching), share prefixes by
// forking, and can be rewound. It works on token ids alone: it knows neither
// tokenizers nor onnxruntime, and a critic is to it a model that answers one
// number per position.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oreo-go/oreo/runtime/kv"
	"golang.org/x/sync/semaphore"
)

// Model computes forward passes over rows of a cache it owns.
type Model interface {
	Spec() Spec
	// Store is the cache's memory; the engine alone uses it.
	Store() kv.Store
	// Forward runs one pass and returns Spec.Width numbers for every position in
	// b.Out and, where b.Values asks, a value of each behind all of them, valid
	// until the next call. Calls never overlap.
	Forward(b *Batch) ([]float32, error)
}

// Spec is what an engine needs to know of a model.
type Spec struct {
	Width        int // numbers answered per position: V for a policy, 1 for a critic
	Vocab        int // V
	MaxPositions int // longest sequence, tokens
	TreeSlots    int // most tokens of a row that branches share, see Batch.Bias; 0: it takes none

	// Segments says that it takes Batch.Segments, and reads of a row only what a token
	// sees: a pass then takes tokens of any trees, and TreeSlots bounds these.
	Segments bool

	// Valued says that it answers the value of a position besides, from the same
	// pass: a policy and its critic in one.
	Valued bool
}

// Batch is one forward pass over B consecutive rows of the cache with S new
// tokens each, padded on the right. Padding leaves garbage in the cache behind a
// row's tokens, where the next pass overwrites it.
type Batch struct {
	Lo, B, S int     // slots [Lo, Lo+B)
	IDs, Pos []int64 // [B, S]
	Write    []int64 // [B] tokens already in the cache: where the new ones go
	Used     []int64 // [B] Write + S
	Out      []int64 // [R] indices into the B*S positions
	Values   bool    // their values are wanted, too

	// Segments are new tokens of any rows, for a model that takes them: S of them in all,
	// behind each other in IDs and Pos. B rows are then those there are; Write, Used and
	// Bias are nil.
	Segments []Segment

	// Bias says which tokens see which: nil is all before them in their row. Else
	// B is 1, the row holds a tree, and Bias [S, Used] is 0 where a new token sees
	// a slot and Masked where it does not. Every slot behind it is masked anyway.
	Bias []float32
}

// Segment is N new tokens of a row, behind each other: they go to its slots from Write
// on, and see those of their sequence's Path, ascending, and each other up to their own.
type Segment struct {
	Row, Write, N int
	Path          []int
}

// Masked is added to attention scores that shall not count.
const Masked = -1e30

// Options tune an engine; zero fields take the defaults.
type Options struct {
	MaxRows int // sequences in the cache at once, enforced by Reserve; default 64
	Chunk   int // most tokens of one prefill pass; default 512
}

// Errors that callers may want to tell apart.
var (
	ErrClosed  = errors.New("engine is closed")
	ErrTooLong = errors.New("sequence is longer than the model's positions")
	ErrRows    = errors.New("more sequences than the engine's row limit")
)

// Engine is safe for concurrent use. One goroutine owns the model and the cache;
// everything that touches them is sent there.
type Engine struct {
	model Model
	spec  Spec
	opt   Options
	rows  *semaphore.Weighted
	pool  *kv.Pool

	mu     sync.Mutex
	queue  []func()      // for the loop, in order
	wake   chan struct{} // holds one token when the queue is not empty
	closed bool
	ended  chan struct{}

	jobs  []*running // owned by the loop
	stats Stats
}

// Stats counts an engine's work since it was made.
type Stats struct {
	Passes    int // forward passes
	Positions int // B*S of all passes, padding included
	Tokens    int // of them real
	Answers   int // positions answered
}

// New starts an engine over model, which is the caller's to close after Close.
func New(model Model, opt Options) (*Engine, error) {
	spec := model.Spec()
	if opt.MaxRows == 0 {
		opt.MaxRows = 64
	}
	if opt.Chunk == 0 {
		opt.Chunk = 512
	}
	switch {
	case opt.MaxRows < 1 || opt.Chunk < 1:
		return nil, fmt.Errorf("engine: %d rows and chunks of %d tokens, want 1 or more of each", opt.MaxRows, opt.Chunk)
	case spec.Width < 1 || spec.Vocab < 1 || spec.MaxPositions < 1:
		return nil, fmt.Errorf("engine: model of width %d, vocabulary %d and %d positions", spec.Width, spec.Vocab, spec.MaxPositions)
	}
	e := &Engine{
		model: model, spec: spec, opt: opt,
		rows:  semaphore.NewWeighted(int64(opt.MaxRows)),
		pool:  kv.NewPool(model.Store()),
		wake:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	go e.loop()
	return e, nil
}

// Spec is the model's.
func (e *Engine) Spec() Spec { return e.spec }

// MaxRows is the most rows Reserve grants.
func (e *Engine) MaxRows() int { return e.opt.MaxRows }

// Lease is room for a number of sequences in the cache.
type Lease struct {
	rows *semaphore.Weighted
	left atomic.Int64
}

// Reserve waits until n sequences have room in the cache, first come first
// served. A caller asks once for all it will hold together: asking twice could
// wait for itself. It ends with Close.
func (e *Engine) Reserve(ctx context.Context, n int) (*Lease, error) {
	if n > e.opt.MaxRows {
		return nil, fmt.Errorf("%w: %d needed, %d allowed (MaxRows)", ErrRows, n, e.opt.MaxRows)
	}
	if err := e.rows.Acquire(ctx, int64(n)); err != nil {
		return nil, err
	}
	l := &Lease{rows: e.rows}
	l.left.Store(int64(n))
	return l, nil
}

// GiveBack returns the room of one sequence, which was freed, before the others'.
func (l *Lease) GiveBack() {
	if l.left.Add(-1) < 0 {
		panic("engine: more rows given back than were reserved")
	}
	l.rows.Release(1)
}

// Close returns what is left.
func (l *Lease) Close() { l.rows.Release(l.left.Swap(0)) }

// Stats returns the counters so far.
func (e *Engine) Stats() Stats {
	var s Stats
	if e.do(func() { s = e.stats }) != nil {
		return e.stats // the loop has ended: nobody writes
	}
	return s
}

// Close ends the loop; jobs that are running fail with ErrClosed. The rows'
// memory is given back.
func (e *Engine) Close() error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.mu.Unlock()
	if first {
		e.signal()
	}
	<-e.ended
	return nil
}

// post queues f for the loop.
func (e *Engine) post(f func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.queue = append(e.queue, f)
	e.signal()
	return nil
}

// do runs f in the loop and waits for it. What post takes is always run, even
// when the engine closes meanwhile.
func (e *Engine) do(f func()) error {
	done := make(chan struct{})
	if err := e.post(func() { f(); close(done) }); err != nil {
		<-e.ended
		return err
	}
	<-done
	return nil
}

func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// loop serves the queue and, while there are jobs, runs passes.
func (e *Engine) loop() {
	defer close(e.ended)
	for {
		e.mu.Lock()
		queue, closed := e.queue, e.closed
		e.queue = nil
		e.mu.Unlock()
		for _, f := range queue {
			f()
		}
		if closed {
			for _, j := range e.jobs {
				j.end(ErrClosed)
			}
			_ = e.model.Store().Resize(0, 0, nil) // giving back cannot fail
			return
		}
		e.jobs = slices.DeleteFunc(e.jobs, (*running).dropped)
		if len(e.jobs) == 0 {
			<-e.wake
			continue
		}
		e.round()
	}
}

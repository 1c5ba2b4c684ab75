package engine

import (
	"fmt"
	"slices"
)

// Seq is a sequence of tokens and its place in the cache. The cache may lag
// behind: tokens that were appended but not yet run are pending. A Seq is its
// caller's alone, and untouchable while a job on it runs. It ends with Free.
type Seq struct {
	e   *Engine
	ids []int

	// Owned by the loop.
	tree *tree // nil before the first pass
	path []int // slots of tree.row with the tokens that were run, ascending
}

// NewSeq returns an empty sequence. It needs a row, see Reserve.
func (e *Engine) NewSeq() *Seq { return &Seq{e: e} }

// Append adds tokens behind the sequence.
func (s *Seq) Append(ids ...int) { s.ids = append(s.ids, ids...) }

// Len is the number of tokens, pending ones included.
func (s *Seq) Len() int { return len(s.ids) }

// IDs are the tokens; the slice is the sequence's own.
func (s *Seq) IDs() []int { return s.ids }

// Rewind forgets all but the first n tokens.
func (s *Seq) Rewind(n int) error {
	if n < 0 || n > len(s.ids) {
		return fmt.Errorf("rewind to %d of %d tokens", n, len(s.ids))
	}
	s.ids = s.ids[:n]
	return s.e.do(func() {
		if s.tree == nil || n >= len(s.path) {
			return
		}
		s.path = s.path[:n]
		if straight := n == 0 || s.path[n-1] == n-1; straight && len(s.tree.seqs) == 1 {
			s.e.pool.Rewind(s.tree.row, n)
		}
	})
}

// advance notes that n tokens were added to the row, which is the sequence's own.
func (s *Seq) advance(n int) {
	for range n {
		s.path = append(s.path, len(s.path))
	}
	s.e.pool.Advance(s.tree.row, n)
}

// Fork returns n copies of each sequence, in order. What is in the cache is
// shared where the model takes trees, else copied, and not computed again.
func (e *Engine) Fork(n int, seqs ...*Seq) ([][]*Seq, error) {
	counts := make([]int, len(seqs))
	for i := range counts {
		counts[i] = n
	}
	return e.ForkEach(seqs, counts)
}

// ForkEach is Fork with a number of copies for each sequence.
func (e *Engine) ForkEach(seqs []*Seq, counts []int) ([][]*Seq, error) {
	out := make([][]*Seq, len(seqs))
	var failed error
	err := e.do(func() {
		for i, s := range seqs {
			for range counts[i] {
				var f *Seq
				if f, failed = e.fork(s); failed != nil {
					e.drop(slices.Concat(out...))
					return
				}
				out[i] = append(out[i], f)
			}
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Free gives the rows of seqs back; they are of no more use. After Close, and
// for nil sequences, it does nothing.
func (e *Engine) Free(seqs ...*Seq) {
	seqs = slices.Clone(seqs)
	_ = e.post(func() { e.drop(seqs) }) // closed: the rows are gone already
}

func (e *Engine) drop(seqs []*Seq) {
	for _, s := range seqs {
		if s != nil && s.tree != nil {
			e.leave(s)
		}
	}
}

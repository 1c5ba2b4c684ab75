// Package kv manages the rows of a key/value cache that lives in shared buffers:
// one tensor [B, K, M, D] per layer and kind, of which a forward pass sees a run
// of consecutive rows. Rows are allocated, forked, rewound and freed in any
// order; the pool moves them so that those of one pass lie together, and grows
// the buffers in steps.
package kv

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Shape is the size of what one token leaves in the cache.
type Shape struct {
	Tensors int // a key and a value tensor per layer
	Heads   int // K, key and value heads
	Dim     int // D, elements per head
	Elem    int // bytes per element
}

// TokenBytes is the memory of one token over all tensors.
func (s Shape) TokenBytes() int { return s.Tensors * s.Heads * s.Dim * s.Elem }

// TensorBytes is the memory of one tensor of rows rows of tokens tokens, an error
// if no machine has so much.
func (s Shape) TensorBytes(rows, tokens int) (int, error) {
	const most = 1 << 47
	n := uint64(1)
	for _, f := range []int{rows, s.Heads, tokens, s.Dim, s.Elem} {
		hi, lo := bits.Mul64(n, uint64(f))
		if f < 0 || hi != 0 || lo > most {
			return 0, errors.New("size overflows")
		}
		n = lo
	}
	return int(n), nil
}

// Run is neighbouring tokens that are copied together: N of them, from From on, to
// To.
type Run struct{ To, From, N int }

// Runs are the copies that Store.Pick asks for.
func Runs(tokens []int) (runs []Run) {
	for i, t := range tokens {
		if last := len(runs) - 1; last >= 0 && t == runs[last].From+runs[last].N {
			runs[last].N++
			continue
		}
		runs = append(runs, Run{To: i, From: t, N: 1})
	}
	return runs
}

// Store is the memory under a pool: Host keeps it in slices, a device may keep
// it elsewhere. Row and token counts are the pool's to keep in range.
type Store interface {
	// Resize makes room for rows rows of tokens tokens each and keeps the first
	// used[i] tokens of row i. Resize(0, 0, nil) gives the memory back.
	Resize(rows, tokens int, used []int) error
	// Copy copies the first tokens tokens of row src over those of row dst.
	Copy(dst, src, tokens int) error
	// Swap exchanges the first tokens tokens of two rows.
	Swap(a, b, tokens int) error
	// Pick copies the tokens of row src whose indices are given, ascending, to the
	// beginning of row dst, which may be src.
	Pick(dst, src int, tokens []int) error
}

// tokenStep is the granularity of M. Attention kernels walk the buffer's
// length, so room beyond need costs time; growing costs one copy of the cache.
const tokenStep = 64

// Row is a sequence's place in a pool.
type Row struct {
	slot int
	n    int
}

// Len is the number of tokens whose keys and values the row holds.
func (r *Row) Len() int { return r.n }

// Slot is the row's index in the buffers, valid until the pool's next method.
func (r *Row) Slot() int { return r.slot }

// Pool hands out rows of a store. It is not safe for concurrent use.
type Pool struct {
	store  Store
	slots  []*Row // by slot, nil where free; its length is B
	tokens int    // M
	live   int
}

// NewPool returns an empty pool over store.
func NewPool(store Store) *Pool { return &Pool{store: store} }

// Live is the number of rows in use.
func (p *Pool) Live() int { return p.live }

// Cap is the size of the buffers: B rows of M tokens.
func (p *Pool) Cap() (rows, tokens int) { return len(p.slots), p.tokens }

// Reserve makes room for n more rows. Asked for together they cost one copy of the
// cache, one by one several.
func (p *Pool) Reserve(n int) error {
	missing := n - (len(p.slots) - p.live)
	if missing <= 0 {
		return nil
	}
	return p.resize(max(2*len(p.slots), len(p.slots)+missing), p.tokens)
}

// New returns an empty row.
func (p *Pool) New() (*Row, error) {
	if err := p.Reserve(1); err != nil {
		return nil, err
	}
	slot := slices.Index(p.slots, nil)
	r := &Row{slot: slot}
	p.slots[slot] = r
	p.live++
	return r, nil
}

// ForkOf returns a new row that holds the tokens of r whose indices are given,
// ascending.
func (p *Pool) ForkOf(r *Row, tokens []int) (*Row, error) {
	f, err := p.New()
	if err != nil {
		return nil, err
	}
	if err := p.store.Pick(f.slot, r.slot, tokens); err != nil {
		p.Free(f)
		return nil, err
	}
	f.n = len(tokens)
	return f, nil
}

// Keep forgets all tokens of r but those whose indices are given, ascending, and
// moves these together.
func (p *Pool) Keep(r *Row, tokens []int) error {
	if err := p.store.Pick(r.slot, r.slot, tokens); err != nil {
		return err
	}
	r.n = len(tokens)
	return nil
}

// Rewind forgets all but the first n tokens of r.
func (p *Pool) Rewind(r *Row, n int) {
	if n < 0 || n > r.n {
		panic(fmt.Sprintf("kv: rewind to %d of %d tokens", n, r.n))
	}
	r.n = n
}

// Free gives r back. With the last row goes the memory.
func (p *Pool) Free(r *Row) {
	p.slots[r.slot] = nil
	r.slot = -1
	p.live--
	if p.live == 0 {
		p.slots, p.tokens = nil, 0
		_ = p.store.Resize(0, 0, nil) // giving back cannot fail
	}
}

// Grow makes room for at least tokens tokens in every row.
func (p *Pool) Grow(tokens int) error {
	if tokens <= p.tokens {
		return nil
	}
	tokens = max(tokens, p.tokens+p.tokens/4)
	return p.resize(len(p.slots), (tokens+tokenStep-1)/tokenStep*tokenStep)
}

// Advance notes that a forward pass wrote n tokens behind those of r.
func (p *Pool) Advance(r *Row, n int) {
	if r.n+n > p.tokens {
		panic(fmt.Sprintf("kv: %d tokens in a row of %d", r.n+n, p.tokens))
	}
	r.n += n
}

func (p *Pool) resize(rows, tokens int) error {
	used := make([]int, len(p.slots))
	for i, r := range p.slots {
		if r != nil {
			used[i] = r.n
		}
	}
	if err := p.store.Resize(rows, tokens, used); err != nil {
		return fmt.Errorf("key/value cache of %d rows of %d tokens: %w", rows, tokens, err)
	}
	p.slots = append(p.slots, make([]*Row, rows-len(p.slots))...)
	p.tokens = tokens
	return nil
}

// Gather moves rows so that they take consecutive slots from lo on, and sorts
// the slice by slot. Of all places it takes the one that moves fewest tokens.
func (p *Pool) Gather(rows []*Row) (lo int, err error) {
	chosen := make(map[*Row]bool, len(rows))
	for _, r := range rows {
		chosen[r] = true
	}
	lo = p.window(chosen)
	var outside []*Row
	for _, r := range rows {
		if r.slot < lo || r.slot >= lo+len(rows) {
			outside = append(outside, r)
		}
	}
	for slot := lo; slot < lo+len(rows); slot++ {
		if chosen[p.slots[slot]] {
			continue
		}
		r := outside[0]
		outside = outside[1:]
		if err := p.exchange(r.slot, slot); err != nil {
			return 0, err
		}
	}
	slices.SortFunc(rows, func(a, b *Row) int { return a.slot - b.slot })
	return lo, nil
}

// window finds the run of len(chosen) slots where the tokens of chosen rows
// already there, less those of others that would have to leave, are most.
func (p *Pool) window(chosen map[*Row]bool) (best int) {
	gain := func(slot int) int {
		r := p.slots[slot]
		switch {
		case r == nil:
			return 0
		case chosen[r]:
			return r.n + 1
		}
		return -r.n
	}
	sum := 0
	for slot := range len(chosen) {
		sum += gain(slot)
	}
	bestSum := sum
	for lo := 1; lo+len(chosen) <= len(p.slots); lo++ {
		sum += gain(lo+len(chosen)-1) - gain(lo-1)
		if sum > bestSum {
			best, bestSum = lo, sum
		}
	}
	return best
}

// exchange puts the row of slot a into slot b and what b held into a.
func (p *Pool) exchange(a, b int) error {
	ra, rb := p.slots[a], p.slots[b]
	var err error
	switch {
	case rb == nil || rb.n == 0:
		err = p.store.Copy(b, a, ra.n)
	case ra.n == 0:
		err = p.store.Copy(a, b, rb.n)
	default:
		err = p.store.Swap(a, b, max(ra.n, rb.n))
	}
	if err != nil {
		return err
	}
	p.slots[a], p.slots[b] = rb, ra
	ra.slot = b
	if rb != nil {
		rb.slot = a
	}
	return nil
}

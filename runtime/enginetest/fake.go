// Package enginetest holds a fake model and the contract that every model behind
// an engine keeps: the same answers however the work is cut, batched, forked and
// moved. The fake and onnxruntime run the same suite.
package enginetest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"sync/atomic"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
)

// Fake is a model without weights. It writes the tokens it is fed into the cache
// as keys and values, and answers from what it finds there, so that a wrong copy
// of a row is a wrong answer.
type Fake struct {
	// Answer maps all tokens up to a position to the numbers answered there.
	Answer func(prefix []int) []float32
	Value  func(prefix []int) float32 // likewise the value, where the spec is Valued
	Fail   atomic.Pointer[error]      // what Forward returns, if set

	spec  engine.Spec
	store *kv.Host
}

// shape has two of everything that a copy could mix up.
var shape = kv.Shape{Tensors: 4, Heads: 2, Dim: 3, Elem: 4}

// NewFake returns a fake of the given sizes that answers by answer.
func NewFake(spec engine.Spec, answer func(prefix []int) []float32) *Fake {
	return &Fake{Answer: answer, spec: spec, store: kv.NewHost(shape, kv.GoMemory{})}
}

// Random returns a fake whose answers and values are arbitrary numbers in [-4, 4),
// fixed by the prefix.
func Random(spec engine.Spec) *Fake {
	numbers := func(prefix []int, n int) []float32 {
		h := fnv.New64a()
		for _, id := range prefix {
			_ = binary.Write(h, binary.LittleEndian, int64(id)) // a hash takes every write
		}
		state := h.Sum64()
		out := make([]float32, n)
		for i := range out {
			state = state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
			out[i] = float32(state>>40)/(1<<21) - 4
		}
		return out
	}
	f := NewFake(spec, func(prefix []int) []float32 { return numbers(prefix, spec.Width) })
	f.Value = func(prefix []int) float32 { return numbers(prefix, spec.Width+1)[spec.Width] }
	return f
}

// Spec implements engine.Model.
func (f *Fake) Spec() engine.Spec { return f.spec }

// Store implements engine.Model.
func (f *Fake) Store() kv.Store { return f.store }

// Held is the room of the cache in tokens per row, 0 when it was given back.
func (f *Fake) Held() int { return f.store.Tokens() }

// Forward implements engine.Model.
func (f *Fake) Forward(b *engine.Batch) ([]float32, error) {
	if err := f.Fail.Load(); err != nil {
		return nil, *err
	}
	if b.Values && !f.spec.Valued {
		return nil, fmt.Errorf("fake: it is asked for values")
	}
	if b.Segments != nil || f.spec.Segments {
		return f.segments(b)
	}
	if len(b.IDs) != b.B*b.S || len(b.Pos) != b.B*b.S || len(b.Write) != b.B || len(b.Used) != b.B {
		return nil, fmt.Errorf("fake: ill-formed batch %+v", b)
	}
	if b.Bias != nil && (b.B != 1 || int(b.Used[0]) > f.spec.TreeSlots || len(b.Bias) != b.S*int(b.Used[0])) {
		return nil, fmt.Errorf("fake: a mask of %d numbers over %d slots for %d rows of %d tokens", len(b.Bias), b.Used, b.B, b.S)
	}
	for row := range b.B {
		for i := range b.S {
			at := int(b.Write[row]) + i
			if at >= f.store.Tokens() {
				return nil, fmt.Errorf("fake: token %d in a row of %d", at, f.store.Tokens())
			}
			f.each(b.Lo+row, at, func(t, head int, cell []byte) {
				binary.LittleEndian.PutUint32(cell, uint32(b.IDs[row*b.S+i])*16+uint32(t*2+head))
			})
		}
	}
	var out, values []float32
	for _, o := range b.Out {
		row, i := int(o)/b.S, int(o)%b.S
		prefix, err := f.read(b.Lo+row, int(b.Write[row])+i+1)
		if err != nil {
			return nil, err
		}
		if b.Bias != nil {
			prefix = seen(prefix, b.Bias[i*int(b.Used[0]):])
		}
		if b.Used[row] == int64(b.S) && int(b.Pos[o]) != i {
			return nil, fmt.Errorf("fake: position %d of token %d behind an empty row, where positions are counted", b.Pos[o], i)
		}
		if out, values, err = f.answer(prefix, int(b.Pos[o]), b.Values, out, values); err != nil {
			return nil, err
		}
	}
	return append(out, values...), nil
}

// segments is Forward for a batch of segments.
func (f *Fake) segments(b *engine.Batch) ([]float32, error) {
	if !f.spec.Segments || b.Segments == nil || len(b.IDs) != b.S || len(b.Pos) != b.S || b.Write != nil || b.Used != nil || b.Bias != nil || b.Lo != 0 {
		return nil, fmt.Errorf("fake: ill-formed batch of segments %+v", b)
	}
	prefixes := make([][]int, 0, b.S)
	written := map[[2]int]bool{}
	for _, g := range b.Segments {
		if g.Row < 0 || g.Row >= b.B || g.N < 1 || g.Write+g.N > f.store.Tokens() || len(prefixes)+g.N > b.S || g.Write+g.N > f.spec.TreeSlots {
			return nil, fmt.Errorf("fake: segment %+v of %d rows of %d slots", g, b.B, f.store.Tokens())
		}
		tokens, err := f.read(g.Row, g.Write)
		if err != nil {
			return nil, err
		}
		var prefix []int
		for i, slot := range g.Path {
			if slot >= g.Write || i > 0 && slot <= g.Path[i-1] || written[[2]int{g.Row, slot}] {
				return nil, fmt.Errorf("fake: path %v of a segment from slot %d on", g.Path, g.Write)
			}
			prefix = append(prefix, tokens[slot])
		}
		for i := range g.N {
			at := len(prefixes)
			if written[[2]int{g.Row, g.Write + i}] {
				return nil, fmt.Errorf("fake: slot %d is written twice", g.Write+i)
			}
			written[[2]int{g.Row, g.Write + i}] = true
			f.each(g.Row, g.Write+i, func(t, head int, cell []byte) {
				binary.LittleEndian.PutUint32(cell, uint32(b.IDs[at])*16+uint32(t*2+head))
			})
			prefix = append(prefix, int(b.IDs[at]))
			prefixes = append(prefixes, slices.Clone(prefix))
		}
	}
	if len(prefixes) != b.S {
		return nil, fmt.Errorf("fake: segments of %d tokens, want %d", len(prefixes), b.S)
	}
	var out, values []float32
	var err error
	for _, o := range b.Out {
		if out, values, err = f.answer(prefixes[o], int(b.Pos[o]), b.Values, out, values); err != nil {
			return nil, err
		}
	}
	return append(out, values...), nil
}

// answer adds what f answers behind prefix, whose last token has position pos.
func (f *Fake) answer(prefix []int, pos int, valued bool, out, values []float32) ([]float32, []float32, error) {
	if pos != len(prefix)-1 {
		return nil, nil, fmt.Errorf("fake: position %d behind %d tokens", pos, len(prefix)-1)
	}
	a := f.Answer(prefix)
	if len(a) != f.spec.Width {
		return nil, nil, fmt.Errorf("fake: %d numbers answered, want %d", len(a), f.spec.Width)
	}
	out = append(out, a...)
	if valued {
		values = append(values, f.Value(prefix))
	}
	return out, values, nil
}

// seen are the tokens of a row that a mask shows.
func seen(tokens []int, bias []float32) (visible []int) {
	for i, id := range tokens {
		if bias[i] == 0 {
			visible = append(visible, id)
		}
	}
	return visible
}

// read returns the first n tokens of a row, which all tensors and heads must agree on.
func (f *Fake) read(row, n int) ([]int, error) {
	ids := make([]int, n)
	var err error
	for i := range ids {
		ids[i] = math.MinInt
		f.each(row, i, func(t, head int, cell []byte) {
			v := int(binary.LittleEndian.Uint32(cell))
			if v%16 != t*2+head || (ids[i] != math.MinInt && ids[i] != v/16) {
				err = fmt.Errorf("fake: row %d token %d: tensor %d head %d holds %d", row, i, t, head, v)
			}
			ids[i] = v / 16
		})
	}
	return ids, err
}

// each visits the last element of every head's vector for one token.
func (f *Fake) each(row, token int, visit func(tensor, head int, cell []byte)) {
	vector := shape.Dim * shape.Elem
	for t := range shape.Tensors {
		view := f.store.View(t, row, row+1)
		for head := range shape.Heads {
			end := (head*f.store.Tokens() + token + 1) * vector
			visit(t, head, view[end-shape.Elem:end])
		}
	}
}

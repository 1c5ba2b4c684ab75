package torch

import (
	"math"
	"math/rand/v2"
	"testing"
)

// LogProbs agrees in value and gradient with the same computed from all logits,
// in float64, over more rows than one piece holds.
func TestLogProbs(t *testing.T) {
	const rows, hidden, vocab = 9, 5, 11
	defer func(n int64) { piece = n }(piece)
	for _, c := range []struct {
		name  string
		d     Divergence
		piece int64
	}{{"plain", NoDivergence, piece}, {"KL", KL, piece}, {"forward KL", ForwardKL, piece},
		{"KL in pieces", KL, 4 * vocab}, {"row by row", ForwardKL, 1}, {"plain in pieces", NoDivergence, 5 * vocab}} {
		t.Run(c.name, func(t *testing.T) {
			piece = c.piece
			rng := rand.New(rand.NewPCG(1, 2))
			draw := func(shape ...int64) *Tensor {
				v := make([]float64, shape[0]*shape[1])
				for i := range v {
					v[i] = rng.NormFloat64()
				}
				return FromFloat64(v, shape...)
			}
			err := Scope(func() {
				h, w, rh, rw := draw(rows, hidden), draw(vocab, hidden), draw(rows, hidden), draw(vocab, hidden)
				ids := make([]int64, rows)
				for i := range ids {
					ids[i] = rng.Int64N(vocab)
				}
				actions, a, b := FromInt64(ids, rows), draw(1, rows), draw(1, rows)
				gradients := func(f func() (l, k, r *Tensor)) (out [][]float64) {
					h.SetRequiresGrad(true)
					w.SetRequiresGrad(true)
					ZeroGrad([]*Tensor{h, w})
					l, k, r := f()
					out = append(out, l.Float64s())
					total := l.Mul(a).Sum()
					if k != nil {
						total = total.Add(k.Mul(b).Sum())
						out = append(out, k.Float64s(), r.Float64s())
					}
					total.Backward()
					return append(out, h.Grad().Float64s(), w.Grad().Float64s())
				}
				want := gradients(func() (l, k, r *Tensor) {
					logp := h.Linear(w, nil).LogSoftmax()
					pick := func(x *Tensor) *Tensor { return x.Gather(1, actions.Unsqueeze(1)).Squeeze(1) }
					if l = pick(logp); c.d == NoDivergence {
						return l, nil, nil
					}
					ref := rh.Linear(rw, nil).LogSoftmax()
					k = logp.Exp().Mul(logp.Sub(ref)).SumDim(-1)
					if c.d == ForwardKL {
						k = ref.Exp().Mul(ref.Sub(logp)).SumDim(-1)
					}
					return l, k, pick(ref)
				})
				got := gradients(func() (l, k, r *Tensor) {
					ref := &Output{rh, rw}
					if c.d == NoDivergence {
						ref = nil
					}
					return LogProbs(Output{h, w}, actions, ref, c.d, false)
				})
				for i := range want {
					for j := range want[i] {
						if math.Abs(got[i][j]-want[i][j]) > 1e-10*(1+math.Abs(want[i][j])) {
							t.Fatalf("result %d, element %d: %v, want %v", i, j, got[i][j], want[i][j])
						}
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

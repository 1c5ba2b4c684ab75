package nn

import (
	"math"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train/torch"
)

type layer struct {
	norm1, norm2   *torch.Tensor // [C]
	q, k, v, o     linear        // C to H*D, K*D and K*D, and H*D to C
	gate, up, down linear        // C to I, C to I, I to C
}

// linear is a linear map, W x + bias, to which an adapter may add scale B A x.
type linear struct {
	weight *torch.Tensor // [out, in]
	bias   *torch.Tensor // [out]; Qwen2 has them on q, k and v; nil elsewhere
	a, b   *torch.Tensor // [rank, in] and [out, rank]; nil without an adapter
	scale  float64
}

// apply maps x [.., in] to [.., out].
func (l *linear) apply(x *torch.Tensor) *torch.Tensor {
	if l.a == nil {
		return x.Linear(l.weight, l.bias)
	}
	return torch.Tidy(func() *torch.Tensor {
		return x.Linear(l.weight, l.bias).Add(x.Linear(l.a, nil).Times(l.scale).Linear(l.b, nil))
	})
}

// Forward returns logits [B, T, V] of a policy or values [B, T] of a critic for
// ids [B, T], right-padded: attention is causal, so padding, which follows,
// changes no real position. A value at position t judges tokens 0..t.
func (m *Model) Forward(ids *torch.Tensor) *torch.Tensor {
	if m.Head == model.ValueHead {
		return m.Values(m.Hidden(ids))
	}
	return m.Logits(m.Hidden(ids))
}

// Hidden returns the hidden states [B, T, C] of ids [B, T], after the final norm:
// what heads read. A policy and a value head on its backbone share one call.
func (m *Model) Hidden(ids *torch.Tensor) *torch.Tensor {
	if m.backbone != nil {
		return m.backbone.Hidden(ids)
	}
	return torch.Tidy(func() *torch.Tensor {
		return m.cast(func() *torch.Tensor { return m.hidden(ids) })
	})
}

// Logits applies a policy's head to hidden states [.., C]: [.., V]. The rows may
// be chosen first: logits at the states alone need less memory than at all tokens.
func (m *Model) Logits(hidden *torch.Tensor) *torch.Tensor {
	return torch.Tidy(func() *torch.Tensor {
		if s := m.Config.LogitScale(); s != 1 {
			hidden = hidden.Times(s)
		}
		return m.cast(func() *torch.Tensor { return hidden.Linear(m.head, nil) })
	})
}

// LogProbs returns log pi of actions [..], token ids, at hidden states [.., C]:
// [..]. It is Logits, LogSoftmax and Gather in one, with some rows of the logits
// in memory at a time, not all.
func (m *Model) LogProbs(hidden, actions *torch.Tensor) *torch.Tensor {
	return torch.Tidy(func() *torch.Tensor {
		logp, _, _ := torch.LogProbs(m.output(hidden), actions.View(-1), nil, torch.NoDivergence, m.Autocast)
		return logp.View(actions.Shape()...)
	})
}

// Compare returns, [..] each, log pi and log pi_ref of actions [..] at hidden
// states [.., C] of the model and of ref, and a divergence over the whole
// vocabulary between them, p being pi and q being pi_ref. No gradient reaches ref.
func (m *Model) Compare(hidden, actions *torch.Tensor, ref *Model, refHidden *torch.Tensor, d torch.Divergence) (logp, refLogp, divergence *torch.Tensor) {
	other := ref.output(refHidden)
	logp, divergence, refLogp = torch.LogProbs(m.output(hidden), actions.View(-1), &other, d, m.Autocast)
	shape := actions.Shape()
	return logp.View(shape...), refLogp.View(shape...), divergence.View(shape...)
}

// output is the LM head with rows [N, C] before it.
func (m *Model) output(hidden *torch.Tensor) torch.Output {
	if s := m.Config.LogitScale(); s != 1 {
		hidden = hidden.Times(s)
	}
	return torch.Output{Hidden: hidden.View(-1, int64(m.Config.Hidden)), Weight: m.head}
}

// Values applies a critic's head to hidden states [.., C]: [..]. They are never
// rounded to bfloat16. Gradients reach the backbone where hidden carries them;
// Values(hidden.Detach()) trains the head alone.
func (m *Model) Values(hidden *torch.Tensor) *torch.Tensor {
	return torch.Tidy(func() *torch.Tensor { return hidden.Mul(m.head).SumDim(-1) })
}

// cast runs f under autocast where the model asks for it.
func (m *Model) cast(f func() *torch.Tensor) (out *torch.Tensor) {
	if !m.Autocast {
		return f()
	}
	torch.Autocast(m.Device, func() { out = f() })
	return out
}

func (m *Model) hidden(ids *torch.Tensor) *torch.Tensor {
	c := m.Config
	T := ids.Shape()[1]
	cos, sin := m.rotations(T)         // [T, D]
	x := torch.Embedding(m.embed, ids) // [B, T, C]
	if x.DType() == torch.BFloat16 {
		x = x.To(torch.Float32) // the residual stream is not rounded
	}
	if c.ScaleEmb != 1 {
		x = x.Times(c.ScaleEmb)
	}
	for i := range m.layers {
		l, before := &m.layers[i], x
		x = torch.Tidy(func() *torch.Tensor {
			x := before.Add(m.scaled(m.attend(l, before.RMSNorm(l.norm1, c.NormEps), cos, sin))) // [B, T, C]
			return x.Add(m.scaled(l.mlp(x.RMSNorm(l.norm2, c.NormEps))))                         // [B, T, C]
		})
		torch.Free(before)
	}
	return x.RMSNorm(m.norm, c.NormEps) // [B, T, C]
}

// scaled applies MiniCPM's factor to a block's output.
func (m *Model) scaled(x *torch.Tensor) *torch.Tensor {
	if s := m.Config.ResidualScale(); s != 1 {
		return x.Times(s)
	}
	return x
}

// attend is grouped-query attention with rotary positions.
func (m *Model) attend(l *layer, x, cos, sin *torch.Tensor) *torch.Tensor {
	c := m.Config
	B, T, D := x.Shape()[0], x.Shape()[1], int64(c.HeadDim)
	heads := func(w linear, n int) *torch.Tensor {
		return w.apply(x).View(B, T, int64(n), D).Transpose(1, 2) // [B, n, T, D]
	}
	q := rotate(heads(l.q, c.Heads), cos, sin)                     // [B, H, T, D]
	k := rotate(heads(l.k, c.KVHeads), cos, sin)                   // [B, K, T, D]
	v := heads(l.v, c.KVHeads)                                     // [B, K, T, D]
	y := torch.Attention(q, k, v, 1/math.Sqrt(float64(c.HeadDim))) // [B, H, T, D]
	return l.o.apply(y.Transpose(1, 2).View(B, T, int64(c.Heads)*D))
}

// mlp is SwiGLU: down(silu(gate x) * up x).
func (l *layer) mlp(x *torch.Tensor) *torch.Tensor {
	return l.down.apply(l.gate.apply(x).Silu().Mul(l.up.apply(x)))
}

// rotations returns cos and sin of position * frequency, [T, D], each frequency
// standing in both halves.
func (m *Model) rotations(T int64) (cos, sin *torch.Tensor) {
	positions := make([]float64, T)
	for i := range positions {
		positions[i] = float64(i)
	}
	angle := torch.FromFloat64(positions, T, 1).On(m.Device).Mul(m.freq) // [T, D/2]
	angle = torch.Cat(-1, angle, angle)                                  // [T, D]
	dtype := m.norm.DType()
	return angle.Cos().To(dtype), angle.Sin().To(dtype)
}

// rotate turns each pair (x[i], x[i+D/2]) by its position's angle.
func rotate(x, cos, sin *torch.Tensor) *torch.Tensor {
	D := x.Shape()[3]
	return torch.Tidy(func() *torch.Tensor {
		turned := torch.Cat(-1, x.Narrow(-1, D/2, D/2).Neg(), x.Narrow(-1, 0, D/2))
		return x.Mul(cos).Add(turned.Mul(sin)).To(x.DType())
	})
}

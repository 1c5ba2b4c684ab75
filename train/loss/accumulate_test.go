package loss

import (
	"math/rand/v2"
	"testing"

	"github.com/oreo-go/oreo/train/torch"
)

// TestAccumulation shows that micro-batches add up: 128 sequences at once, in 4
// times 32 and one (or one pair) at a time give the same gradients in float64,
// though each micro-batch has its own padding. What the caller has to hand over for
// that is here: the update's size, its number of actions, KTO's reference point.
func TestAccumulation(t *testing.T) {
	const sequences, alpha = 128, 0.1
	r := rand.New(rand.NewPCG(3, 0))
	p := randomTree(r, 3, 6)
	all := p.paths(0)
	data, tokens := make([]path, sequences), 0
	for i := range data {
		data[i] = all[r.IntN(len(all))]
		tokens += len(data[i])
	}
	share := 1.0 / sequences
	for name, c := range map[string]struct {
		together int // sequences that must stay in one micro-batch
		loss     func(x batch) *torch.Tensor
	}{
		"oreo": {1, func(x batch) *torch.Tensor {
			kl := MeanOverStates(KL(x.logp, x.refLogp), x.mask).Times(alpha)
			return tokenLevel.loss(x).Add(kl).Sum().Times(share)
		}},
		"oreo by step":     {1, func(x batch) *torch.Tensor { return stepLevel.loss(x).Sum().Times(share) }},
		"oreo by response": {1, func(x batch) *torch.Tensor { return responseLevel.loss(x).Sum().Times(share) }},
		"one step": {1, func(x batch) *torch.Tensor {
			return oneStep.loss(x).Add(MeanOverStates(K3(x.d), x.mask).Times(alpha)).Sum().Times(share)
		}},
		"dqo": {1, func(x batch) *torch.Tensor {
			return dqo(0.7).loss(x).Mul(ImportanceWeights(x.d, x.mask, 1)).Sum().Times(share)
		}},
		"sft": {1, func(x batch) *torch.Tensor {
			return NLL(LogProbs(x.logp, x.actions), x.mask).Sum().Times(1 / float64(tokens))
		}},
		"kto": {1, func(x batch) *torch.Tensor { return x.kto([]float64{0.2, 0.5}).Sum().Times(share) }},
		"dpo": {2, func(x batch) *torch.Tensor {
			d := x.sum().View(-1, 2) // pairs side by side
			return DPO(d.Narrow(1, 0, 1), d.Narrow(1, 1, 1), beta, smoothing).Sum().Times(2 * share)
		}},
	} {
		var whole []*torch.Tensor
		err := torch.Scope(func() {
			for _, size := range []int{sequences, sequences / 4, c.together} {
				got := p.gradients(data, size, c.loss)
				if whole == nil {
					whole = got
					continue
				}
				for i, g := range got {
					compare(t, name, g, whole[i], 1e-12)
				}
			}
			if whole[0].Square().Sum().Item() == 0 {
				t.Errorf("%s: no gradient at all", name)
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// gradients of the tables, logits and values, after all micro-batches of a size.
func (p *process) gradients(data []path, size int, loss func(x batch) *torch.Tensor) []*torch.Tensor {
	n, width := int64(len(p.next)), int64(len(p.next[0]))
	r := rand.New(rand.NewPCG(9, 0))
	noise := func(rows, columns int64) *torch.Tensor {
		x := make([]float64, rows*columns)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		return torch.FromFloat64(x, rows, columns)
	}
	logits, values, reference := noise(n+1, width), noise(n+1, 1), torch.FromFloat64(p.logReference(), n+1, width)
	logits.SetRequiresGrad(true)
	values.SetRequiresGrad(true)
	for i := 0; i < len(data); i += size {
		states, x := p.encode(data[i : i+size])
		x.logits, x.values = torch.Embedding(logits, states), torch.Embedding(values, states).Squeeze(-1)
		loss(x.forward(torch.Embedding(reference, states))).Backward()
	}
	return []*torch.Tensor{gradient(logits), gradient(values)}
}

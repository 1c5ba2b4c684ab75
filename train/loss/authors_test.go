package loss

import (
	"fmt"
	"math"
	"testing"

	"github.com/oreo-go/oreo/train/torch"
)

// TestAgainstAuthors compares what the authors' trainer back-propagates, run as it is
// by testdata/gen/authors_reference.py, with the same made of this package's
// functions: every option of the table in original.go that changes a loss.
func TestAgainstAuthors(t *testing.T) {
	const hinge, alpha = 0.2, 0.4
	ref, want := open(t, "testdata/reference.safetensors"), open(t, "testdata/authors.safetensors")
	mean := func(f func(x batch) *torch.Tensor) func(x batch) *torch.Tensor {
		return func(x batch) *torch.Tensor { return f(x).Sum().Div(rows(x)) }
	}
	byStates := func(f func(x batch) *torch.Tensor) func(x batch) *torch.Tensor { // importance_sampling_2
		return func(x batch) *torch.Tensor { return f(x).Mul(x.mask.SumDim(1)).Sum().Div(x.mask.Sum()) }
	}
	plus := func(name string, weight float64, regulariser func(x batch) *torch.Tensor) func(x batch) *torch.Tensor {
		return mean(func(x batch) *torch.Tensor { return objectives[name](x).Add(regulariser(x).Times(weight)) })
	}
	averaged := func(x batch) *torch.Tensor { // --enable_ema: d of the averaged policy
		logp := x.logits.Add(x.refLogits).Times(0.5).LogSoftmax()
		return LogProbs(logp, x.actions).Sub(LogProbs(x.refLogp, x.actions))
	}
	critic := map[string]func(x batch) *torch.Tensor{
		"value": mean(objectives["value"]), "value_steps": mean(objectives["value_steps"]),
		"value_clipped": mean(objectives["value_clipped"]), "value_weighted": mean(objectives["value_weighted"]),
		"value_weighted_2": byStates(objectives["value_weighted"]), "value_under_response": mean(objectives["value"]),
		"value_averaged": mean(func(x batch) *torch.Tensor {
			return Value(x.values, averaged(x), x.reward, x.mask, beta).Mul(ImportanceWeights(averaged(x), x.mask, logWeight))
		}),
	}
	actor := map[string]func(x batch) *torch.Tensor{
		"policy": mean(objectives["policy"]), "policy_agent": mean(objectives["policy"]),
		"policy_steps": mean(objectives["policy_steps"]), "policy_response": mean(objectives["policy_response"]),
		"policy_weighted": mean(objectives["policy_weighted"]), "policy_weighted_2": byStates(objectives["policy_weighted"]),
		"policy_averaged": mean(func(x batch) *torch.Tensor {
			return objectives["policy"](x).Mul(ImportanceWeights(averaged(x), x.mask, logWeight))
		}),
		"bellman": mean(objectives["bellman"]), "bellman_steps": mean(objectives["bellman_steps"]),
		"policy_hinge": func(x batch) *torch.Tensor {
			good := x.reward.Equals(1).Mul(HasState(x.mask).Squeeze(1)).Sum().AtLeast(1)
			return mean(objectives["policy_response"])(x).Add(objectives["hinge"](x).Sum().Div(good).Times(hinge))
		},
		"policy_k3": plus("policy", alpha, objectives["k3"]), "policy_kl": plus("policy", alpha, objectives["kl"]),
		"policy_steps_kl": plus("policy_steps", alpha, objectives["kl"]), "policy_forward_kl": plus("policy", alpha, objectives["forward_kl"]),
		"policy_target": plus("policy", math.Exp(-1), objectives["kl"]),
	}
	for i := range batches {
		if !want.file.Has(fmt.Sprintf("%d.value.loss", i)) {
			continue // no row with states
		}
		for kind, losses := range map[string]map[string]func(x batch) *torch.Tensor{"values": critic, "logits": actor} {
			for name, f := range losses {
				err := torch.Scope(func() {
					x := ref.batch(fmt.Sprint(i))
					got := f(x)
					got.Backward()
					prefix := fmt.Sprintf("%d.%s.", i, name)
					compare(t, prefix+"loss", got, want.get(prefix+"loss"), 1e-12)
					compare(t, prefix+kind, map[string]*torch.Tensor{"values": x.values, "logits": x.logits}[kind].Grad(), want.get(prefix+kind), 1e-12)
				})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		x := ref.batch(fmt.Sprint(i))
		c := Coefficient{Log: -1}
		c.Update(mean(objectives["kl"])(x).Item(), 0.1, 0.05)
		compare(t, "learned coefficient", torch.FromFloat64([]float64{c.Log}, 1), want.get(fmt.Sprintf("%d.policy_target.log", i)), 1e-12)
	}
}

// rows counts the sequences with states.
func rows(x batch) *torch.Tensor { return HasState(x.mask).Sum() }

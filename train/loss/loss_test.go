package loss

import (
	"math"
	"testing"

	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// TestAgainstEquations compares every loss and its gradients with values that
// testdata/gen/reference.py computes from the equations, state by state, in float64.
func TestAgainstEquations(t *testing.T) {
	ref, err := safetensors.Open("testdata/reference.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	get := func(name string) *torch.Tensor {
		stored, err := ref.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if stored.DType == safetensors.I64 {
			return torch.FromBytes(torch.Int64, shape(stored), stored.Data)
		}
		x, err := nn.FromSafetensors(stored, torch.Float64)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for name, f := range map[string]func(logits, values *torch.Tensor) *torch.Tensor{
		"value": func(logits, values *torch.Tensor) *torch.Tensor {
			return Value(values, ratio(logits, get), get("reward"), get("mask"), get("beta").Item())
		},
		"policy": func(logits, values *torch.Tensor) *torch.Tensor {
			return Policy(values, ratio(logits, get), get("reward"), get("mask"), get("beta").Item())
		},
		"kl": func(logits, _ *torch.Tensor) *torch.Tensor {
			return MeanOverStates(KL(logits.LogSoftmax(), get("ref_logits").LogSoftmax()), get("mask"))
		},
	} {
		err := torch.Scope(func() {
			logits, values := get("logits"), get("values")
			logits.SetRequiresGrad(true)
			values.SetRequiresGrad(true)
			got := f(logits, values)
			got.Mul(torch.FromFloat64([]float64{1, 2, 3, 4, 5}, 5)).Sum().Backward()
			compare(t, name+".loss", got, get(name+".loss"))
			compare(t, name+".grad_logits", gradient(logits), get(name+".grad_logits"))
			compare(t, name+".grad_values", gradient(values), get(name+".grad_values"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ratio(logits *torch.Tensor, get func(string) *torch.Tensor) *torch.Tensor {
	return LogProbs(logits.LogSoftmax(), get("actions")).Sub(LogProbs(get("ref_logits").LogSoftmax(), get("actions")))
}

func gradient(x *torch.Tensor) *torch.Tensor {
	if g := x.Grad(); g != nil {
		return g
	}
	return x.Detach().Times(0)
}

func compare(t *testing.T, name string, got, want *torch.Tensor) {
	t.Helper()
	g, w := got.Float64s(), want.Float64s()
	if len(g) != len(w) {
		t.Fatalf("%s: %d elements, want %d", name, len(g), len(w))
	}
	worst := 0.0
	for i := range g {
		worst = max(worst, math.Abs(g[i]-w[i])/(1+math.Abs(w[i])))
	}
	if !(worst <= 1e-12) {
		t.Errorf("%s: differs by %.2g", name, worst)
	}
	t.Logf("%s: max difference %.2g", name, worst)
}

func shape(t safetensors.Tensor) []int64 {
	s := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		s[i] = int64(d)
	}
	return s
}

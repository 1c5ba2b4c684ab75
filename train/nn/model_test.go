package nn

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// TestAgainstTransformers compares outputs on a ragged batch and the gradient of
// every parameter with what testdata/gen/reference.py got from transformers.
func TestAgainstTransformers(t *testing.T) {
	for _, name := range []string{"qwen2", "qwen2-tied", "llama", "minicpm"} {
		for _, kind := range []struct {
			head           model.Head
			output, prefix string
		}{{model.LMHead, "logits", "policy."}, {model.ValueHead, "values", "critic."}} {
			t.Run(name+"/"+kind.output, func(t *testing.T) {
				dir := filepath.Join("testdata", name)
				ref := open(t, filepath.Join(dir, "expected.safetensors"))
				m, err := Load(dir, kind.head, torch.CPU, torch.Float32)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				m.Train()
				err = torch.Scope(func() {
					mask := tensor(t, ref, "mask")
					out := m.Forward(tensor(t, ref, "input_ids"))
					real, score := mask, out
					if kind.head == model.LMHead {
						real, score = mask.Unsqueeze(-1), out.LogSoftmax().Narrow(-1, 3, 1).Squeeze(-1)
					}
					compare(t, kind.output, out.Mul(real), tensor(t, ref, kind.output), 1e-4)
					score.Mul(ramp(mask)).Sum().Backward()
					for _, p := range m.Config.Params(kind.head) {
						got := m.params[p.Name].Grad()
						if got == nil {
							t.Errorf("%s: no gradient", p.Name)
							continue
						}
						compare(t, p.Name, got, tensor(t, ref, kind.prefix+p.Name), 1e-4)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// LogProbs and Compare are what Logits gives, MiniCPM's scale and bfloat16
// included, with the same gradients.
func TestLogProbs(t *testing.T) {
	for _, name := range []string{"qwen2-tied", "minicpm"} {
		for _, autocast := range []bool{false, true} {
			m, ref := load(t, name, torch.Float32), load(t, "llama", torch.Float32)
			m.Autocast, ref.Autocast = autocast, autocast
			m.Train()
			tol := 1e-5
			if autocast {
				tol = 0.02
			}
			scope(t, func() {
				hidden, other := m.Hidden(ids()), ref.Hidden(ids())
				actions := torch.FromInt64([]int64{9, 26, 5, 35, 8, 9, 7, 32, 38, 1, 2, 3}, 2, 6)
				p, q := m.Logits(hidden).LogSoftmax(), ref.Logits(other).LogSoftmax()
				pick := func(x *torch.Tensor) *torch.Tensor { return x.Gather(-1, actions.Unsqueeze(-1)).Squeeze(-1) }
				kl := p.Exp().Mul(p.Sub(q)).SumDim(-1)
				gradient := func(x *torch.Tensor) *torch.Tensor {
					torch.ZeroGrad(m.Params())
					x.Sum().Backward()
					return m.embed.Grad().Times(1)
				}
				logp, refLogp, divergence := m.Compare(hidden, actions, ref, other, torch.KL)
				compare(t, "log pi", logp, pick(p), tol)
				compare(t, "log pi", m.LogProbs(hidden, actions), pick(p), tol)
				compare(t, "log pi_ref", refLogp, pick(q), tol)
				compare(t, "KL", divergence, kl, tol)
				want := gradient(pick(p).Add(kl))
				again, _, apart := m.Compare(m.Hidden(ids()), actions, ref, other, torch.KL)
				compare(t, "gradient", gradient(again.Add(apart)), want, tol)
			})
		}
	}
}

// ramp is the weight that the reference gives each real position.
func ramp(mask *torch.Tensor) *torch.Tensor {
	n := mask.Len()
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(-1 + 2*float64(i)/float64(n-1))
	}
	return torch.FromFloat32(w, mask.Shape()...).Mul(mask)
}

// TestRealModel compares logits with transformers' on the model in
// OREO_TEST_MODEL, for which reference.py has written OREO_TEST_MODEL_EXPECTED.
func TestRealModel(t *testing.T) {
	dir, expected := os.Getenv("OREO_TEST_MODEL"), os.Getenv("OREO_TEST_MODEL_EXPECTED")
	if dir == "" || expected == "" {
		t.Skip("OREO_TEST_MODEL and OREO_TEST_MODEL_EXPECTED are not set")
	}
	ref := open(t, expected)
	m, err := Load(dir, model.LMHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	err = torch.Scope(func() {
		torch.NoGrad(func() {
			out := m.Forward(tensor(t, ref, "input_ids")).Mul(tensor(t, ref, "mask").Unsqueeze(-1))
			compare(t, "logits", out, tensor(t, ref, "logits"), 1e-3)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNewIsReproducibleAndSavesBack(t *testing.T) {
	config, err := model.LoadConfig("testdata/qwen2")
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(config, torch.CPU, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	ts, err := a.Tensors(torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := safetensors.WriteModel(dir, ts); err != nil {
		t.Fatal(err)
	}
	if err := config.Save(dir, model.LMHead, "float32"); err != nil {
		t.Fatal(err)
	}
	b, err := New(config, torch.CPU, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	c, err := Load(dir, model.LMHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Free()
	err = torch.Scope(func() {
		for i, p := range a.Params() {
			compare(t, a.Names()[i], b.Params()[i], p, 0)
			compare(t, a.Names()[i], c.Params()[i], p, 0)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	critic, err := Load(dir, model.ValueHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Free()
	err = torch.Scope(func() {
		for _, v := range critic.Forward(torch.FromInt64([]int64{3, 4, 5}, 1, 3)).Float32s() {
			if v != 0 {
				t.Errorf("a new critic says %v", v)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *safetensors.File {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func tensor(t *testing.T, f *safetensors.File, name string) *torch.Tensor {
	t.Helper()
	s, err := f.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	if s.DType == safetensors.I64 {
		return torch.FromBytes(torch.Int64, []int64{int64(s.Shape[0]), int64(s.Shape[1])}, s.Data)
	}
	x, err := FromSafetensors(s, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// compare asks that no element differs by more than tol of the largest one.
func compare(t *testing.T, name string, got, want *torch.Tensor, tol float64) {
	t.Helper()
	g, w := got.Float64s(), want.Float64s()
	if len(g) != len(w) {
		t.Fatalf("%s: %v, want %v", name, got, want)
	}
	scale, worst := 1e-3, 0.0
	for i := range w {
		scale = max(scale, math.Abs(w[i]))
		worst = max(worst, math.Abs(g[i]-w[i]))
	}
	if !(worst <= tol*scale) {
		t.Errorf("%s: differs by %.3g, largest element %.3g", name, worst, scale)
	}
	if testing.Verbose() {
		t.Logf("%-50s max difference %.2g of %.3g", name, worst, scale)
	}
}

package loss

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// The numbers of testdata/gen/reference.py.
const (
	beta, clip, logWeight     = 0.3, 0.8, 1
	smoothing, goodWt, badWt  = 0.1, 1.3, 0.7
	batches, differencesBatch = 5, 4
)

func TestMain(m *testing.M) {
	torch.SetThreads(1) // tensors of a few numbers: threads would only wait for each other
	os.Exit(m.Run())
}

// TestAgainstEquations compares every objective and its gradients with what
// testdata/gen/reference.py computes from the equations, state by state in float64,
// on batches with ragged lengths, prompts of different length, several turns and
// steps, rows without states and a single row; on one of them also with finite
// differences of the equations.
func TestAgainstEquations(t *testing.T) {
	ref := open(t, "testdata/reference.safetensors")
	worst := map[string]float64{}
	for i := range batches {
		for name, f := range objectives {
			err := torch.Scope(func() {
				x := ref.batch(fmt.Sprint(i))
				got := f(x)
				if got.RequiresGrad() {
					got.Mul(oneToB(got)).Sum().Backward()
				}
				prefix := fmt.Sprintf("%d.%s.", i, name)
				for what, g := range map[string]*torch.Tensor{"loss": got, "logits": gradient(x.logits), "values": gradient(x.values)} {
					worst[name] = max(worst[name], compare(t, prefix+what, g, ref.get(prefix+what), 1e-12))
					if i == differencesBatch && what != "loss" {
						compare(t, prefix+what+".differences", g, ref.get(prefix+what+".differences"), 1e-8)
					}
				}
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	for name, w := range worst {
		t.Logf("%-18s differs by at most %.1g", name, w)
	}
}

// objectives are named as in the script; each returns [B].
var objectives = map[string]func(x batch) *torch.Tensor{
	"value":          func(x batch) *torch.Tensor { return Value(x.values, x.d, x.reward, x.mask, beta) },              // Eq. 8
	"value_steps":    func(x batch) *torch.Tensor { return onActions(x.byStep(), x.reward, Value) },                    // Eq. 8, section 4.2
	"value_response": func(x batch) *torch.Tensor { return onActions(x.byResponse(), x.reward, Value) },                // Eq. 8 at s_0
	"value_clipped":  func(x batch) *torch.Tensor { return ValueClipped(x.values, x.d, x.reward, x.mask, beta, clip) }, // Eq. 8
	"value_weighted": func(x batch) *torch.Tensor {
		return Value(x.values, x.d, x.reward, x.mask, beta).Mul(ImportanceWeights(x.d, x.mask, logWeight))
	},

	"policy":          func(x batch) *torch.Tensor { return Policy(x.values, x.d, x.reward, x.mask, beta) }, // Eq. 9
	"policy_steps":    func(x batch) *torch.Tensor { return onActions(x.byStep(), x.reward, Policy) },       // Eq. 9, section 4.2
	"policy_response": func(x batch) *torch.Tensor { return onActions(x.byResponse(), x.reward, Policy) },   // Eq. 10
	"policy_weighted": func(x batch) *torch.Tensor {
		return Policy(x.values, x.d, x.reward, x.mask, beta).Mul(ImportanceWeights(x.d, x.mask, logWeight))
	},

	"bellman":          func(x batch) *torch.Tensor { return Bellman(x.values, x.d, x.reward, x.mask, beta) }, // Eq. 3
	"bellman_steps":    func(x batch) *torch.Tensor { return onActions(x.byStep(), x.reward, Bellman) },
	"bellman_response": func(x batch) *torch.Tensor { return onActions(x.byResponse(), x.reward, Bellman) },

	"kl":         func(x batch) *torch.Tensor { return MeanOverStates(KL(x.logp, x.refLogp), x.mask) }, // L_reg of Eq. 9
	"forward_kl": func(x batch) *torch.Tensor { return MeanOverStates(ForwardKL(x.logp, x.refLogp), x.mask) },
	"k3":         func(x batch) *torch.Tensor { return MeanOverStates(K3(x.d), x.mask) },
	"nll":        func(x batch) *torch.Tensor { return NLL(LogProbs(x.logp, x.actions), x.mask) },
	"hinge":      func(x batch) *torch.Tensor { return Hinge(x.d, x.reward, x.mask) },

	"dpo":          func(x batch) *torch.Tensor { return DPO(x.sum(), x.other(x.sum()), beta, 0) }, // 2305.18290 Eq. 7
	"dpo_smoothed": func(x batch) *torch.Tensor { return DPO(x.sum(), x.other(x.sum()), beta, smoothing) },
	"ipo":          func(x batch) *torch.Tensor { return IPO(x.sum(), x.other(x.sum()), beta) }, // 2310.12036 Eq. 17
	"ipo_average": func(x batch) *torch.Tensor {
		mean := MeanOverStates(x.d, x.mask)
		return IPO(mean, x.other(mean), beta)
	},
	"kto":         func(x batch) *torch.Tensor { return x.kto([]float64{0.3, -0.2, 0.9}) }, // 2402.01306 section 4.1
	"kto_clamped": func(x batch) *torch.Tensor { return x.kto([]float64{-0.5, 0.1}) },
	"kto_alone":   func(x batch) *torch.Tensor { return x.kto(nil) },

	"dqo_value_0":   func(x batch) *torch.Tensor { return DQOValue(x.values, x.d, x.reward, x.mask, beta, 0) }, // 2410.09302
	"dqo_value_07":  func(x batch) *torch.Tensor { return DQOValue(x.values, x.d, x.reward, x.mask, beta, 0.7) },
	"dqo_value_1":   func(x batch) *torch.Tensor { return DQOValue(x.values, x.d, x.reward, x.mask, beta, 1) },
	"dqo_policy_0":  func(x batch) *torch.Tensor { return DQOPolicy(x.values, x.d, x.reward, x.mask, beta, 0) },
	"dqo_policy_07": func(x batch) *torch.Tensor { return DQOPolicy(x.values, x.d, x.reward, x.mask, beta, 0.7) },
	"dqo_policy_1":  func(x batch) *torch.Tensor { return DQOPolicy(x.values, x.d, x.reward, x.mask, beta, 1) },
}

// TestDQOIsOREO shows what appendix C of arXiv 2412.16145 says: without lambda-returns
// and importance weights DQO, its target fixed, is token-level OREO without regulariser.
func TestDQOIsOREO(t *testing.T) {
	ref := open(t, "testdata/reference.safetensors")
	for i := range batches {
		x := ref.batch(fmt.Sprint(i))
		for dqo, oreo := range map[string]string{"dqo_value_1": "value", "dqo_policy_1": "policy"} {
			compare(t, dqo, objectives[dqo](x), objectives[oreo](x), 1e-12)
			for _, leaf := range []string{"logits", "values"} {
				compare(t, dqo, ref.get(fmt.Sprintf("%d.%s.%s", i, dqo, leaf)), ref.get(fmt.Sprintf("%d.%s.%s", i, oreo, leaf)), 1e-12)
			}
		}
	}
}

// TestLearnedCoefficient follows PyTorch's Adam on the KL weight.
func TestLearnedCoefficient(t *testing.T) {
	ref := open(t, "testdata/reference.safetensors")
	want := ref.get("coefficient.log").Float64s()
	c := Coefficient{Log: -1}
	for i, kl := range ref.get("coefficient.kl").Float64s() {
		c.Update(kl, 0.1, 0.05)
		if math.Abs(c.Log-want[i]) > 1e-12 || c.Alpha() != math.Exp(c.Log) {
			t.Errorf("update %d: log weight %v, want %v", i, c.Log, want[i])
		}
	}
}

// batch has what a trainer computes before the losses: logits and values [B, T, V]
// and [B, T] as leaves, log-ratios d [B, T].
type batch struct {
	logits, values        *torch.Tensor
	refLogits             *torch.Tensor
	logp, refLogp, d      *torch.Tensor
	actions, reward, mask *torch.Tensor
	stepOf, stepState     *torch.Tensor
	stepMask              *torch.Tensor
}

// actions at one level: [B, A].
type actions struct{ values, d, mask *torch.Tensor }

func (x batch) byStep() actions {
	return actions{StepValues(x.values, x.stepState), StepSums(x.d, x.stepOf, int(x.stepMask.Shape()[1])), x.stepMask}
}

func (x batch) byResponse() actions {
	return actions{FirstState(x.values, x.mask), ResponseSum(x.d, x.mask), HasState(x.mask)}
}

type objective func(values, d, reward, mask *torch.Tensor, beta float64) *torch.Tensor

func onActions(a actions, reward *torch.Tensor, f objective) *torch.Tensor {
	return f(a.values, a.d, reward, a.mask, beta)
}

func (x batch) sum() *torch.Tensor { return SumOverStates(x.d, x.mask) }

// other is x [B] of the next sequence, the first one's for the last.
func (x batch) other(r *torch.Tensor) *torch.Tensor {
	n := r.Shape()[0]
	return torch.Cat(0, r.Narrow(0, 1, n-1), r.Narrow(0, 0, 1))
}

func (x batch) kto(mismatched []float64) *torch.Tensor {
	return KTO(x.sum(), x.reward.Equals(1), KTOReference(mismatched), beta, goodWt, badWt)
}

type reference struct {
	t    *testing.T
	file *safetensors.File
}

func open(t *testing.T, path string) reference {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return reference{t, f}
}

func (r reference) get(name string) *torch.Tensor {
	r.t.Helper()
	stored, err := r.file.Get(name)
	if err != nil {
		r.t.Fatal(err)
	}
	if stored.DType == safetensors.I64 {
		shape := make([]int64, len(stored.Shape))
		for i, d := range stored.Shape {
			shape[i] = int64(d)
		}
		return torch.FromBytes(torch.Int64, shape, stored.Data)
	}
	x, err := nn.FromSafetensors(stored, torch.Float64)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

// batch reads a batch; the leaves want gradients before anything is computed.
func (r reference) batch(prefix string) batch {
	x := r.leaves(prefix)
	x.logits.SetRequiresGrad(true)
	x.values.SetRequiresGrad(true)
	return x.forward(r.get(prefix + ".ref_logits"))
}

func (r reference) leaves(p string) batch {
	return batch{
		logits: r.get(p + ".logits"), values: r.get(p + ".values"), actions: r.get(p + ".actions"),
		reward: r.get(p + ".reward"), mask: r.get(p + ".mask"),
		stepOf: r.get(p + ".step_of"), stepState: r.get(p + ".step_state"), stepMask: r.get(p + ".step_mask"),
	}
}

func (x batch) forward(refLogits *torch.Tensor) batch {
	x.refLogits, x.logp, x.refLogp = refLogits, x.logits.LogSoftmax(), refLogits.LogSoftmax()
	x.d = LogProbs(x.logp, x.actions).Sub(LogProbs(x.refLogp, x.actions))
	return x
}

func oneToB(x *torch.Tensor) *torch.Tensor {
	w := make([]float64, x.Len())
	for i := range w {
		w[i] = float64(i + 1)
	}
	return torch.FromFloat64(w, x.Len())
}

func gradient(x *torch.Tensor) *torch.Tensor {
	if g := x.Grad(); g != nil {
		return g
	}
	return x.Detach().Times(0)
}

// compare returns the largest difference of two tensors, relative above 1.
func compare(t *testing.T, name string, got, want *torch.Tensor, limit float64) float64 {
	t.Helper()
	g, w := got.Float64s(), want.Float64s()
	if len(g) != len(w) {
		t.Fatalf("%s: %d elements, want %d", name, len(g), len(w))
	}
	worst := 0.0
	for i := range g {
		worst = math.Max(worst, math.Abs(g[i]-w[i])/(1+math.Abs(w[i])))
	}
	if !(worst <= limit) {
		t.Errorf("%s: differs by %.2g", name, worst)
	}
	return worst
}

package nn

import (
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/torch"
)

// load reads a test model as a policy.
func load(t *testing.T, name string, dtype torch.DType) *Model {
	t.Helper()
	m, err := Load("testdata/"+name, model.LMHead, torch.CPU, dtype)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	return m
}

// adapted puts an adapter on m and draws its B, which would be zero.
func adapted(t *testing.T, m *Model, head model.Head, cfg peft.LoRA, seed uint64) *Model {
	t.Helper()
	v, err := m.Adapted(head, cfg, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Free)
	other, err := m.Adapted(head, peft.LoRA{Rank: 16, Alpha: 1}, seed+1) // a source of numbers
	if err != nil {
		t.Fatal(err)
	}
	defer other.Free()
	scope(t, func() {
		for _, name := range v.Names() {
			if p := v.params[name]; !strings.HasSuffix(name, peft.A) {
				source := other.params["model.layers.1.mlp.down_proj"+peft.A].View(-1) // [16*I]
				p.CopyFrom(source.Narrow(0, 0, p.Len()).View(p.Shape()...).Times(0.5))
			}
		}
	})
	return v
}

func scope(t *testing.T, f func()) {
	t.Helper()
	if err := torch.Scope(f); err != nil {
		t.Fatal(err)
	}
}

func ids() *torch.Tensor {
	return torch.FromInt64([]int64{3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 32, 38}, 2, 6)
}

// A new adapter changes nothing; a policy adapter, a critic adapter and the bare
// base work side by side; each collects gradients for itself alone.
func TestAdaptersShareTheBase(t *testing.T) {
	before := torch.Live()
	base, err := Load("testdata/qwen2", model.LMHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	base.Train() // gradients must stay away all the same
	policy, err := base.Adapted(model.LMHead, peft.LoRA{Rank: 4, Alpha: 8}, 1)
	if err != nil {
		t.Fatal(err)
	}
	critic, err := base.Adapted(model.ValueHead, peft.LoRA{Rank: 2, Alpha: 2, Targets: []string{"q_proj", "v_proj"}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(policy.Params()), 2*7*2; got != want {
		t.Errorf("the policy has %d parameters, want %d", got, want)
	}
	if got := strings.Join(critic.Names()[:2], " ") + " … " + critic.Names()[8]; got != "model.layers.0.self_attn.q_proj.lora_A.weight model.layers.0.self_attn.q_proj.lora_B.weight … value_head.weight" {
		t.Errorf("the critic's parameters: %s", got)
	}
	policy.Train()
	critic.Train()
	scope(t, func() {
		compare(t, "logits of a new adapter", policy.Forward(ids()), base.Forward(ids()), 0)
		for _, v := range critic.Forward(ids()).Float32s() {
			if v != 0 {
				t.Errorf("a new critic says %v", v)
			}
		}
		policy.Forward(ids()).LogSoftmax().Narrow(-1, 3, 1).Sum().Add(critic.Forward(ids()).Sum()).Backward()
		for i, p := range policy.Params() {
			name := policy.Names()[i]
			if g := p.Grad(); g == nil {
				t.Errorf("policy %s has no gradient", name)
			}
		}
		if g := critic.params[model.ValueHeadName].Grad(); g == nil {
			t.Error("the value head has no gradient")
		}
		for i, p := range base.Params() {
			if p.Grad() != nil {
				t.Errorf("the base's %s has a gradient", base.Names()[i])
			}
		}
	})
	var want []float32
	scope(t, func() { want = base.Forward(ids()).Float32s() })
	base.Free()
	critic.Free()
	scope(t, func() {
		got := policy.Forward(ids()).Float32s()
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("after the base was freed, logit %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
	policy.Free()
	if torch.Live() != before {
		t.Errorf("%d tensor handles left", torch.Live()-before)
	}
}

// The same seed draws the same adapter, within PEFT's bounds.
func TestAdapterIsReproducible(t *testing.T) {
	base := load(t, "llama", torch.Float32)
	var sets [3]*Model
	for i, seed := range []uint64{5, 5, 6} {
		m, err := base.Adapted(model.LMHead, peft.LoRA{Rank: 3, Alpha: 3}, seed)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		sets[i] = m
	}
	scope(t, func() {
		name := "model.layers.0.self_attn.q_proj" + peft.A
		compare(t, name, sets[0].params[name], sets[1].params[name], 0)
		values, other, low, high := sets[0].params[name].Float32s(), sets[2].params[name].Float32s(), float32(0), float32(0)
		for _, v := range values {
			low, high = min(low, v), max(high, v)
		}
		if bound := float32(1 / 4.0); values[0] == other[0] || low < -bound || high > bound || high-low < bound { // in = 16
			t.Errorf("A spans %v to %v, bound %v; another seed gives %v, %v", low, high, bound, values[0], other[0])
		}
	})
}

// Merged weights compute what base and adapter compute; a copy stays as it was.
func TestMergeAndCopy(t *testing.T) {
	for _, name := range []string{"qwen2", "qwen2-tied", "llama", "minicpm"} {
		for _, head := range []model.Head{model.LMHead, model.ValueHead} {
			base := load(t, name, torch.Float64)
			m := adapted(t, base, head, peft.LoRA{Rank: 4, Alpha: 6, RSLoRA: true}, 3)
			whole, err := m.Whole()
			if err != nil {
				t.Fatal(err)
			}
			defer whole.Free()
			frozen, err := m.Copy()
			if err != nil {
				t.Fatal(err)
			}
			defer frozen.Free()
			scope(t, func() {
				want := m.Forward(ids())
				compare(t, name+" merged", whole.Forward(ids()), want, 1e-12)
				compare(t, name+" copied", frozen.Forward(ids()), want, 0)
				if head == model.LMHead && differs(want, base.Forward(ids())) == 0 {
					t.Errorf("%s: the adapter does nothing", name)
				}
				for _, p := range m.Params() {
					p.CopyFrom(p.Times(2))
				}
				compare(t, name+" copied", frozen.Forward(ids()), want, 0)
				if differs(m.Forward(ids()), want) == 0 {
					t.Errorf("%s: the adapted model did not change", name)
				}
			})
			if len(whole.Names()) != len(m.Config.Params(head)) {
				t.Errorf("%s: %d parameters after the merge", name, len(whole.Names()))
			}
		}
	}
}

func differs(a, b *torch.Tensor) float64 { return a.Sub(b).Square().Sum().Item() }

// A value head on a policy's backbone gives what a whole critic with that head
// gives, and its gradient reaches the backbone unless hidden is detached.
func TestValueHead(t *testing.T) {
	policy := load(t, "llama", torch.Float64)
	critic, err := Load("testdata/llama", model.ValueHead, torch.CPU, torch.Float64)
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Free()
	head, err := NewValueHead(policy)
	if err != nil {
		t.Fatal(err)
	}
	defer head.Free()
	policy.Train()
	head.Train()
	scope(t, func() {
		head.Params()[0].CopyFrom(critic.params[model.ValueHeadName])
		compare(t, "values", head.Forward(ids()), critic.Forward(ids()), 0)
		hidden := policy.Hidden(ids())
		compare(t, "values", head.Values(hidden), critic.Forward(ids()), 0)
		compare(t, "logits", policy.Logits(hidden), policy.Forward(ids()), 0)
		head.Values(hidden.Detach()).Sum().Backward()
		if policy.embed.Grad() != nil || head.head.Grad() == nil {
			t.Error("detached hidden states: want a gradient in the head alone")
		}
		head.Values(hidden).Sum().Backward()
		if policy.embed.Grad() == nil {
			t.Error("no gradient in the backbone")
		}
	})
	whole, err := head.Merged(torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) != len(policy.Config.Params(model.ValueHead)) || len(head.Names()) != 1 {
		t.Errorf("%d tensors merged, %d of its own", len(whole), len(head.Names()))
	}
	frozen, err := head.Copy()
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Free()
	scope(t, func() { compare(t, "copied values", frozen.Forward(ids()), critic.Forward(ids()), 0) })
}

// A frozen base may be held in bfloat16: under autocast it gives what the
// float32 base gives, up to the rounding of the embeddings.
func TestFrozenInBFloat16(t *testing.T) {
	wide, narrow := load(t, "qwen2", torch.Float32), load(t, "qwen2", torch.BFloat16)
	wide.Autocast, narrow.Autocast = true, true
	m, err := narrow.Adapted(model.LMHead, peft.LoRA{Rank: 2, Alpha: 2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	m.Train()
	scope(t, func() {
		want, got := wide.Forward(ids()), m.Forward(ids())
		compare(t, "logits", got, want, 0.05)
		got.To(torch.Float32).Sum().Backward()
		if p := m.Params()[1]; p.DType() != torch.Float32 || p.Grad() == nil {
			t.Errorf("the adapter is %s, gradient %v", p.DType(), p.Grad())
		}
	})
}

func TestLoRAMistakes(t *testing.T) {
	base := load(t, "qwen2", torch.Float32)
	for _, c := range []struct {
		cfg  peft.LoRA
		want string
	}{
		{peft.LoRA{Rank: 0, Alpha: 1}, "rank 0"},
		{peft.LoRA{Rank: 4}, "alpha 0"},
		{peft.LoRA{Rank: 4, Alpha: 1, Targets: []string{"q_proj", "query"}}, `target "query"`},
	} {
		if _, err := base.Adapted(model.LMHead, c.cfg, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.cfg, err, c.want)
		}
	}
	critic, err := Load("testdata/qwen2", model.ValueHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Free()
	if _, err := critic.Adapted(model.LMHead, peft.LoRA{Rank: 4, Alpha: 4}, 1); err == nil || !strings.Contains(err.Error(), "lm_head") {
		t.Errorf("a policy on a critic: %v", err)
	}
}

package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// Adapted returns a model that computes with m's parameters, as they are at each
// moment but without gradients to them, and with adapters of its own; a critic
// also owns its value head, which starts as m's or, if m is a policy, at zero.
// B starts at zero, so the new policy is m exactly; A is uniform in ±1/sqrt(in),
// as PEFT draws it, equal for equal seeds on every machine. Any number of
// adapted models and m itself may be in use at once: a policy and a critic on
// one base, and that base as pi_ref, take the memory of one model. Where m is
// adapted itself, its base is meant.
func (m *Model) Adapted(head model.Head, cfg peft.LoRA, seed uint64) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0x104A))
	return m.adapt(head, cfg, func(name string, shape []int, dtype torch.DType) (*torch.Tensor, error) {
		if !strings.HasSuffix(name, peft.A) {
			if old := m.at(name); name == model.ValueHeadName && old != nil {
				return old.Times(1), nil
			}
			return zeros(dtype, shape...), nil
		}
		bound := 1 / math.Sqrt(float64(shape[1]))
		values := make([]float32, shape[0]*shape[1])
		for i := range values {
			values[i] = float32((2*rng.Float64() - 1) * bound)
		}
		return torch.FromFloat32(values, int64(shape[0]), int64(shape[1])).To(dtype), nil
	})
}

// adapt makes the view of m whose own parameters come from get.
func (m *Model) adapt(head model.Head, cfg peft.LoRA, get func(name string, shape []int, dtype torch.DType) (*torch.Tensor, error)) (*Model, error) {
	if m.backbone != nil {
		m = m.backbone
	}
	if head == model.LMHead && !m.Config.TieEmbeddings && m.at(model.LMHeadName) == nil {
		return nil, fmt.Errorf("a policy cannot stand on a critic: it has no %s", model.LMHeadName)
	}
	v := &Model{Config: m.Config, Head: head, Device: m.Device, Autocast: m.Autocast, LoRA: &cfg,
		params: map[string]*torch.Tensor{}, shared: map[string]*torch.Tensor{}}
	err := torch.Scope(func() {
		for _, p := range m.Config.Params(model.LMHead) {
			if t := m.at(p.Name); t != nil {
				v.shared[p.Name] = t.Detach()
				torch.Keep(v.shared[p.Name])
			}
		}
	})
	dtype := m.norm.DType()
	own := func(name string, shape ...int) {
		err = errors.Join(err, v.own(name, func() (*torch.Tensor, error) { return get(name, shape, dtype) }))
	}
	for _, name := range cfg.Adapted(m.Config.Layers) {
		size := v.shared[name+".weight"].Shape() // [out, in]
		own(name+peft.A, cfg.Rank, int(size[1]))
		own(name+peft.B, int(size[0]), cfg.Rank)
	}
	if head == model.ValueHead {
		own(model.ValueHeadName, 1, m.Config.Hidden)
	}
	if err == nil {
		err = torch.Scope(v.place)
	}
	if err != nil {
		v.Free()
		return nil, err
	}
	return v, nil
}

// NewValueHead returns a critic that is no more than a value head, at zero, on
// the backbone of policy, adapters included: the cheapest critic, at the price
// of features that serve two masters. Its Forward carries gradients into the
// backbone; to train the head alone, give Values detached hidden states. It is
// valid as long as policy is.
func NewValueHead(policy *Model) (*Model, error) {
	v := &Model{Config: policy.Config, Head: model.ValueHead, Device: policy.Device, Autocast: policy.Autocast,
		backbone: policy, params: map[string]*torch.Tensor{}}
	err := v.own(model.ValueHeadName, func() (*torch.Tensor, error) {
		return zeros(policy.norm.DType(), 1, policy.Config.Hidden), nil
	})
	v.head = v.params[model.ValueHeadName]
	return v, err
}

// Copy returns a model that computes what m computes now and stays so while m
// is trained: a frozen pi_ref, or the start of an average over time. Only what
// is m's own is copied, the rest is shared.
func (m *Model) Copy() (*Model, error) {
	c := &Model{Config: m.Config, Head: m.Head, Device: m.Device, Autocast: m.Autocast, LoRA: m.LoRA, backbone: m.backbone,
		params: map[string]*torch.Tensor{}, shared: map[string]*torch.Tensor{}}
	var err error
	for _, name := range m.names {
		err = errors.Join(err, c.own(name, func() (*torch.Tensor, error) { return m.params[name].Detach().Times(1), nil }))
	}
	if err == nil {
		err = torch.Scope(func() {
			for name, t := range m.shared {
				c.shared[name] = t.Detach()
				torch.Keep(c.shared[name])
			}
			if c.backbone != nil {
				c.head = c.at(model.ValueHeadName)
			} else {
				c.place()
			}
		})
	}
	if err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// Whole returns a model without adapters that computes what m computes, all of
// it its own: adapters are merged into their matrices. It can be trained in full.
func (m *Model) Whole() (*Model, error) {
	w, err := build(m.Config, m.Head, m.Device, func(p model.Param) (t *torch.Tensor, err error) {
		torch.NoGrad(func() { t = m.merged(p.Name).Times(1) })
		return t, nil
	})
	if w != nil {
		w.Autocast = m.Autocast
	}
	return w, err
}

// Merged copies the whole model to Go memory for saving, as dtype, each adapter
// added to its matrix, W + Scale() B A, which is computed before it is rounded.
func (m *Model) Merged(dtype torch.DType) ([]safetensors.Tensor, error) {
	ps := m.Config.Params(m.Head)
	out := make([]safetensors.Tensor, 0, len(ps))
	for _, p := range ps {
		t, err := stored(p.Name, dtype, func() (t *torch.Tensor) {
			torch.NoGrad(func() { t = m.merged(p.Name) })
			return t
		})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// merged is the parameter of that name with its adapter added.
func (m *Model) merged(name string) *torch.Tensor {
	if m.backbone != nil && name != model.ValueHeadName {
		return m.backbone.merged(name)
	}
	t := m.at(name)
	module := strings.TrimSuffix(name, ".weight")
	a, b := m.at(module+peft.A), m.at(module+peft.B)
	if a == nil {
		return t
	}
	product := b.Linear(a.Transpose(0, 1), nil) // [out, in] B A
	return t.To(a.DType()).Add(product.Times(m.LoRA.Scale()))
}

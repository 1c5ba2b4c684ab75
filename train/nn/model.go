// Package nn is the forward pass of the models that model.Config describes, on
// libtorch, with gradients. Letters of shapes are those of train/doc.go.
package nn

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// Model is a policy or a critic: a backbone and its head. Parameters are
// float32 (or float64 in parity tests) and live until Free.
type Model struct {
	Config *model.Config
	Head   model.Head
	Device torch.Device
	// Autocast runs matrix products in bfloat16.
	Autocast bool

	names  []string
	params map[string]*torch.Tensor
	layers []layer
	embed  *torch.Tensor // [V, C]
	norm   *torch.Tensor // [C]
	head   *torch.Tensor // [V, C] or, for a critic, [1, C]
	freq   *torch.Tensor // [D/2], radians per position
}

type layer struct {
	norm1, q, k, v, o     *torch.Tensor // [C], [H*D, C], [K*D, C], [K*D, C], [C, H*D]
	qBias, kBias, vBias   *torch.Tensor // Qwen2's; nil elsewhere
	norm2, gate, up, down *torch.Tensor // [C], [I, C], [I, C], [C, I]
}

// Load reads the model in dir onto a device. A critic may start from a policy's
// folder: its value head then starts at zero, as the paper's does.
func Load(dir string, head model.Head, device torch.Device, dtype torch.DType) (*Model, error) {
	config, err := model.LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	file, _, err := config.Weights(dir, head)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, err := build(config, head, device, func(p model.Param) (*torch.Tensor, error) {
		if p.Name == model.ValueHeadName && !file.Has(p.Name) {
			return torch.FromFloat32(make([]float32, config.Hidden), 1, int64(config.Hidden)).To(dtype), nil
		}
		t, err := file.Get(p.Name)
		if err != nil {
			return nil, err
		}
		return FromSafetensors(t, dtype)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// FromSafetensors copies a stored floating-point tensor, converted to dtype.
func FromSafetensors(t safetensors.Tensor, dtype torch.DType) (*torch.Tensor, error) {
	from, ok := map[safetensors.DType]torch.DType{safetensors.F64: torch.Float64, safetensors.F32: torch.Float32,
		safetensors.F16: torch.Float16, safetensors.BF16: torch.BFloat16}[t.DType]
	if !ok {
		return nil, fmt.Errorf("tensor %s: dtype %s is not a floating-point type", t.Name, t.DType)
	}
	shape := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int64(d)
	}
	return torch.FromBytes(from, shape, t.Data).To(dtype), nil
}

// New makes a policy from nothing: weights from a normal distribution with
// standard deviation 0.02 (those that write to the residual stream divided by
// sqrt(2L), as GPT-2 does), norms at one, biases at zero. Equal seeds give equal
// weights on every machine.
func New(config *model.Config, device torch.Device, seed uint64) (*Model, error) {
	rng := rand.New(rand.NewPCG(seed, 0x0E0))
	return build(config, model.LMHead, device, func(p model.Param) (*torch.Tensor, error) {
		values := make([]float32, 1)
		shape := make([]int64, len(p.Shape))
		for i, d := range p.Shape {
			shape[i] = int64(d)
			values = make([]float32, len(values)*d)
		}
		std := 0.02
		switch {
		case len(p.Shape) == 1 && p.IsBias():
			std = 0
		case len(p.Shape) == 1:
			return torch.FromFloat32(ones(len(values)), shape...), nil
		case p.WritesResidual():
			std /= math.Sqrt(2 * float64(config.Layers))
		}
		for i := range values {
			values[i] = float32(rng.NormFloat64() * std)
		}
		return torch.FromFloat32(values, shape...), nil
	})
}

func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// build makes every parameter with get and places it by name.
func build(config *model.Config, head model.Head, device torch.Device, get func(model.Param) (*torch.Tensor, error)) (*Model, error) {
	m := &Model{Config: config, Head: head, Device: device, params: map[string]*torch.Tensor{}}
	for _, p := range config.Params(head) {
		var fail error
		err := torch.Scope(func() {
			t, err := get(p)
			if err != nil {
				fail = err
				return
			}
			t = t.On(device).Detach()
			torch.Keep(t)
			m.names = append(m.names, p.Name)
			m.params[p.Name] = t
		})
		if err == nil {
			err = fail
		}
		if err != nil {
			m.Free()
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return m, torch.Scope(m.place)
}

// place points the layers at the parameters.
func (m *Model) place() {
	c := m.Config
	m.embed, m.norm = m.params[model.EmbedName], m.params["model.norm.weight"]
	switch {
	case m.Head == model.ValueHead:
		m.head = m.params[model.ValueHeadName]
	case c.TieEmbeddings:
		m.head = m.embed
	default:
		m.head = m.params[model.LMHeadName]
	}
	for l := range c.Layers {
		at := func(name string) *torch.Tensor { return m.params[fmt.Sprintf("model.layers.%d.%s", l, name)] }
		m.layers = append(m.layers, layer{
			norm1: at("input_layernorm.weight"), norm2: at("post_attention_layernorm.weight"),
			q: at("self_attn.q_proj.weight"), k: at("self_attn.k_proj.weight"), v: at("self_attn.v_proj.weight"),
			qBias: at("self_attn.q_proj.bias"), kBias: at("self_attn.k_proj.bias"), vBias: at("self_attn.v_proj.bias"),
			o: at("self_attn.o_proj.weight"), gate: at("mlp.gate_proj.weight"), up: at("mlp.up_proj.weight"), down: at("mlp.down_proj.weight"),
		})
	}
	m.freq = torch.FromFloat64(c.InvFreq(), int64(c.HeadDim/2)).On(m.Device)
	torch.Keep(m.freq)
}

// Forward returns logits [B, T, V] of a policy or values [B, T] of a critic for
// ids [B, T], right-padded: attention is causal, so padding, which follows,
// changes no real position. A value at position t judges tokens 0..t.
func (m *Model) Forward(ids *torch.Tensor) *torch.Tensor {
	if !m.Autocast {
		return m.forward(ids)
	}
	var out *torch.Tensor
	torch.Autocast(m.Device, func() { out = m.forward(ids) })
	return out
}

func (m *Model) forward(ids *torch.Tensor) *torch.Tensor {
	c := m.Config
	T := ids.Shape()[1]
	cos, sin := m.rotations(T)         // [T, D]
	x := torch.Embedding(m.embed, ids) // [B, T, C]
	if c.ScaleEmb != 1 {
		x = x.Times(c.ScaleEmb)
	}
	for i := range m.layers {
		l := &m.layers[i]
		x = x.Add(m.scaled(m.attend(l, x.RMSNorm(l.norm1, c.NormEps), cos, sin))) // [B, T, C]
		x = x.Add(m.scaled(l.mlp(x.RMSNorm(l.norm2, c.NormEps))))                 // [B, T, C]
	}
	x = x.RMSNorm(m.norm, c.NormEps)
	if m.Head == model.ValueHead {
		return x.Mul(m.head).SumDim(-1) // [B, T], never rounded to bfloat16
	}
	if s := c.LogitScale(); s != 1 {
		x = x.Times(s)
	}
	return x.Linear(m.head, nil) // [B, T, V]
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
	heads := func(w, bias *torch.Tensor, n int) *torch.Tensor {
		return x.Linear(w, bias).View(B, T, int64(n), D).Transpose(1, 2) // [B, n, T, D]
	}
	q := rotate(heads(l.q, l.qBias, c.Heads), cos, sin)            // [B, H, T, D]
	k := rotate(heads(l.k, l.kBias, c.KVHeads), cos, sin)          // [B, K, T, D]
	v := heads(l.v, l.vBias, c.KVHeads)                            // [B, K, T, D]
	y := torch.Attention(q, k, v, 1/math.Sqrt(float64(c.HeadDim))) // [B, H, T, D]
	return y.Transpose(1, 2).View(B, T, int64(c.Heads)*D).Linear(l.o, nil)
}

// mlp is SwiGLU: down(silu(gate x) * up x).
func (l *layer) mlp(x *torch.Tensor) *torch.Tensor {
	return x.Linear(l.gate, nil).Silu().Mul(x.Linear(l.up, nil)).Linear(l.down, nil)
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
	dtype := m.embed.DType()
	return angle.Cos().To(dtype), angle.Sin().To(dtype)
}

// rotate turns each pair (x[i], x[i+D/2]) by its position's angle.
func rotate(x, cos, sin *torch.Tensor) *torch.Tensor {
	D := x.Shape()[3]
	turned := torch.Cat(-1, x.Narrow(-1, D/2, D/2).Neg(), x.Narrow(-1, 0, D/2))
	return x.Mul(cos).Add(turned.Mul(sin)).To(x.DType())
}

// Params lists the parameters in a fixed order.
func (m *Model) Params() []*torch.Tensor {
	ps := make([]*torch.Tensor, len(m.names))
	for i, n := range m.names {
		ps[i] = m.params[n]
	}
	return ps
}

// Names lists the names of Params, in the same order.
func (m *Model) Names() []string { return m.names }

// Train makes the parameters collect gradients.
func (m *Model) Train() {
	for _, p := range m.params {
		p.SetRequiresGrad(true)
	}
}

// Tensors copies the parameters to Go memory for saving, as dtype.
func (m *Model) Tensors(dtype torch.DType) ([]safetensors.Tensor, error) {
	name := map[torch.DType]safetensors.DType{torch.Float32: safetensors.F32, torch.BFloat16: safetensors.BF16, torch.Float64: safetensors.F64}[dtype]
	out := make([]safetensors.Tensor, 0, len(m.names))
	for _, p := range m.Config.Params(m.Head) {
		err := torch.Scope(func() {
			out = append(out, safetensors.Tensor{Name: p.Name, DType: name, Shape: p.Shape, Data: m.params[p.Name].Detach().To(dtype).Bytes()})
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return out, nil
}

// Free releases the parameters.
func (m *Model) Free() {
	for _, p := range m.params {
		torch.Free(p)
	}
	torch.Free(m.freq)
	m.params = nil
}

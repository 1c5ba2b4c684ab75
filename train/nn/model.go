// Package nn is the forward pass of the models that model.Config describes, on
// libtorch, with gradients. Letters of shapes are those of train/doc.go.
package nn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// Model is a policy or a critic: a backbone and its head. It comes in three
// kinds, which differ in what is the model's own, and so in what Params lists:
//
//	Load, New         everything
//	Adapted           low-rank adapters and, for a critic, the value head; the rest is another model's
//	NewValueHead      the value head; the backbone is a policy's, adapters and all
//
// What is its own lives until Free.
type Model struct {
	Config *model.Config
	Head   model.Head
	Device torch.Device
	// Autocast runs matrix products in bfloat16.
	Autocast bool
	// LoRA describes the adapters; nil for a model without.
	LoRA *peft.LoRA

	names    []string                 // of Params
	params   map[string]*torch.Tensor // the model's own
	shared   map[string]*torch.Tensor // frozen views of another model's parameters
	backbone *Model                   // whose hidden states a bare value head reads; nil elsewhere

	layers []layer
	embed  *torch.Tensor // [V, C]
	norm   *torch.Tensor // [C]
	head   *torch.Tensor // [V, C] or, for a critic, [1, C]
	freq   *torch.Tensor // [D/2], radians per position
}

// Load reads the model in dir onto a device. A critic may start from a policy's
// folder: its value head then starts at zero, as the paper's does.
//
// With float32 or float64 the model can be trained. bfloat16 is for a model that
// stays frozen, under Autocast: it halves the memory of the matrices, while the
// vectors, which matter more and weigh nothing, are float32.
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
		dtype := dtype
		if dtype == torch.BFloat16 && (len(p.Shape) == 1 || p.Name == model.ValueHeadName) {
			dtype = torch.Float32
		}
		if p.Name == model.ValueHeadName && !file.Has(p.Name) {
			return zeros(dtype, p.Shape...), nil
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

func zeros(dtype torch.DType, shape ...int) *torch.Tensor {
	n, dims := 1, make([]int64, len(shape))
	for i, d := range shape {
		n, dims[i] = n*d, int64(d)
	}
	return torch.FromFloat32(make([]float32, n), dims...).To(dtype)
}

// build makes every parameter with get and places it by name.
func build(config *model.Config, head model.Head, device torch.Device, get func(model.Param) (*torch.Tensor, error)) (*Model, error) {
	m := &Model{Config: config, Head: head, Device: device, params: map[string]*torch.Tensor{}}
	for _, p := range config.Params(head) {
		if err := m.own(p.Name, func() (*torch.Tensor, error) { return get(p) }); err != nil {
			m.Free()
			return nil, err
		}
	}
	return m, torch.Scope(m.place)
}

// own adds a parameter of the model's own.
func (m *Model) own(name string, get func() (*torch.Tensor, error)) error {
	var fail error
	err := torch.Scope(func() {
		t, err := get()
		if err != nil {
			fail = err
			return
		}
		t = t.On(m.Device).Detach()
		torch.Keep(t)
		m.names, m.params[name] = append(m.names, name), t
	})
	if err = errors.Join(err, fail); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// at finds a tensor by name, nil if there is none.
func (m *Model) at(name string) *torch.Tensor {
	if t, ok := m.params[name]; ok {
		return t
	}
	return m.shared[name]
}

// place points the layers at the parameters.
func (m *Model) place() {
	c := m.Config
	m.embed, m.norm = m.at(model.EmbedName), m.at("model.norm.weight")
	switch {
	case m.Head == model.ValueHead:
		m.head = m.at(model.ValueHeadName)
	case c.TieEmbeddings:
		m.head = m.embed
	default:
		m.head = m.at(model.LMHeadName)
	}
	for l := range c.Layers {
		prefix := fmt.Sprintf("model.layers.%d.", l)
		m.layers = append(m.layers, layer{
			norm1: m.at(prefix + "input_layernorm.weight"), norm2: m.at(prefix + "post_attention_layernorm.weight"),
			q: m.linear(prefix + "self_attn.q_proj"), k: m.linear(prefix + "self_attn.k_proj"), v: m.linear(prefix + "self_attn.v_proj"),
			o: m.linear(prefix + "self_attn.o_proj"), gate: m.linear(prefix + "mlp.gate_proj"), up: m.linear(prefix + "mlp.up_proj"),
			down: m.linear(prefix + "mlp.down_proj"),
		})
	}
	m.freq = torch.FromFloat64(c.InvFreq(), int64(c.HeadDim/2)).On(m.Device)
	torch.Keep(m.freq)
}

// linear collects the tensors of one linear map.
func (m *Model) linear(name string) linear {
	l := linear{weight: m.at(name + ".weight"), bias: m.at(name + ".bias"), a: m.at(name + peft.A), b: m.at(name + peft.B)}
	if m.LoRA != nil {
		l.scale = m.LoRA.Scale()
	}
	return l
}

// Params lists the model's own parameters, those that training changes, in a
// fixed order.
func (m *Model) Params() []*torch.Tensor {
	ps := make([]*torch.Tensor, len(m.names))
	for i, n := range m.names {
		ps[i] = m.params[n]
	}
	return ps
}

// Names lists the names of Params, in the same order.
func (m *Model) Names() []string { return m.names }

// Train makes the model's own parameters collect gradients.
func (m *Model) Train() {
	for _, p := range m.params {
		p.SetRequiresGrad(true)
	}
}

// Tensors copies the model's own parameters to Go memory for saving, as dtype.
func (m *Model) Tensors(dtype torch.DType) ([]safetensors.Tensor, error) {
	out := make([]safetensors.Tensor, 0, len(m.names))
	for _, name := range m.names {
		t, err := stored(name, dtype, func() *torch.Tensor { return m.params[name] })
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// stored copies what get returns to Go memory.
func stored(name string, dtype torch.DType, get func() *torch.Tensor) (s safetensors.Tensor, err error) {
	kinds := map[torch.DType]safetensors.DType{torch.Float32: safetensors.F32, torch.BFloat16: safetensors.BF16, torch.Float64: safetensors.F64}
	s = safetensors.Tensor{Name: name, DType: kinds[dtype]}
	err = torch.Scope(func() {
		t := get().Detach()
		for _, d := range t.Shape() {
			s.Shape = append(s.Shape, int(d))
		}
		s.Data = t.To(dtype).Bytes()
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return s, err
}

// Free releases what is the model's own; models that share it keep it alive.
func (m *Model) Free() {
	for _, set := range []map[string]*torch.Tensor{m.params, m.shared} {
		for _, t := range set {
			torch.Free(t)
		}
	}
	torch.Free(m.freq)
	m.params, m.shared = nil, nil
}

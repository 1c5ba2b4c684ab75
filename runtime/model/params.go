package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Head is what sits on the backbone.
type Head int

// A policy has a language-model head, a critic a value head: one number per token.
const (
	LMHead Head = iota
	ValueHead
)

// ValueHeadName is the critic's own tensor: a linear map [1, C] without bias,
// under the name the authors' code uses.
const ValueHeadName = "value_head.weight"

// EmbedName and LMHeadName are the tensors that TieEmbeddings makes one.
const (
	EmbedName  = "model.embed_tokens.weight"
	LMHeadName = "lm_head.weight"
)

// Param is the name of a weight, as Hugging Face spells it, and its shape.
type Param struct {
	Name  string
	Shape []int
}

// Params lists the weights of a model in the order in which they are used.
// Linear weights are [out, in].
func (c *Config) Params(head Head) []Param {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	ps := []Param{{EmbedName, []int{c.Vocab, c.Hidden}}}
	for l := range c.Layers {
		at := func(name string, shape ...int) {
			ps = append(ps, Param{fmt.Sprintf("model.layers.%d.%s", l, name), shape})
		}
		at("input_layernorm.weight", c.Hidden)
		for _, p := range []struct {
			name string
			out  int
		}{{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}} {
			at("self_attn."+p.name+".weight", p.out, c.Hidden)
			if c.QKVBias {
				at("self_attn."+p.name+".bias", p.out)
			}
		}
		at("self_attn.o_proj.weight", c.Hidden, q)
		at("post_attention_layernorm.weight", c.Hidden)
		at("mlp.gate_proj.weight", c.Intermediate, c.Hidden)
		at("mlp.up_proj.weight", c.Intermediate, c.Hidden)
		at("mlp.down_proj.weight", c.Hidden, c.Intermediate)
	}
	ps = append(ps, Param{"model.norm.weight", []int{c.Hidden}})
	switch {
	case head == ValueHead:
		ps = append(ps, Param{ValueHeadName, []int{1, c.Hidden}})
	case !c.TieEmbeddings:
		ps = append(ps, Param{LMHeadName, []int{c.Vocab, c.Hidden}})
	}
	return ps
}

// NumParams counts the elements of all weights.
func (c *Config) NumParams(head Head) int {
	n := 0
	for _, p := range c.Params(head) {
		size := 1
		for _, d := range p.Shape {
			size *= d
		}
		n += size
	}
	return n
}

// Weights opens the weights in dir and checks that every one that c asks for is
// there with its shape. A critic's value head may be absent (a policy's folder
// is opened to start a critic from); headMissing then says so.
func (c *Config) Weights(dir string, head Head) (file *safetensors.File, headMissing bool, err error) {
	f, err := safetensors.OpenModel(dir)
	if err != nil {
		return nil, false, err
	}
	for _, p := range c.Params(head) {
		t, err := f.Get(p.Name)
		if err != nil {
			if p.Name == ValueHeadName {
				headMissing = true
				continue
			}
			_ = f.Close()
			return nil, false, fmt.Errorf("%s: %w; config.json asks for it", dir, err)
		}
		if !slices.Equal(t.Shape, p.Shape) {
			_ = f.Close()
			return nil, false, fmt.Errorf("%s: tensor %s has shape %v, config.json asks for %v", dir, p.Name, t.Shape, p.Shape)
		}
	}
	return f, headMissing, nil
}

// IsBias tells a bias from a norm: both have one dimension.
func (p Param) IsBias() bool { return strings.HasSuffix(p.Name, ".bias") }

// WritesResidual tells whether the weight's output joins the residual stream.
func (p Param) WritesResidual() bool {
	return strings.HasSuffix(p.Name, "o_proj.weight") || strings.HasSuffix(p.Name, "down_proj.weight")
}

package peft

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/model"
)

// LoRA describes low-rank adapters (arXiv 2106.09685): beside a frozen matrix
// W [out, in] stand A [rank, in] and B [out, rank], and the layer computes
// W x + Scale() B A x.
type LoRA struct {
	Rank    int
	Alpha   float64
	Targets []string // the last words of their names, "q_proj" …; empty: all seven of a layer
	RSLoRA  bool     // Scale is Alpha/sqrt(Rank) (arXiv 2312.03732), not Alpha/Rank
}

// Scale is the factor of the adapters' output.
func (c LoRA) Scale() float64 {
	if c.RSLoRA {
		return c.Alpha / math.Sqrt(float64(c.Rank))
	}
	return c.Alpha / float64(c.Rank)
}

// Validate checks the numbers and names.
func (c LoRA) Validate() error {
	if c.Rank < 1 || c.Rank > 1<<14 {
		return fmt.Errorf("LoRA rank %d: want 1 to %d", c.Rank, 1<<14)
	}
	if !(c.Alpha > 0) || math.IsInf(c.Alpha, 0) {
		return fmt.Errorf("LoRA alpha %v: want a positive number", c.Alpha)
	}
	for _, t := range c.Targets {
		if !slices.ContainsFunc(modules, func(m string) bool { return lastWord(m) == t }) {
			return fmt.Errorf("LoRA target %q: want some of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj", t)
		}
	}
	return nil
}

// modules are the linear maps of a layer.
var modules = []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}

// The ends of the adapters' names: they follow the matrix's name without its
// ".weight".
const (
	A = ".lora_A.weight"
	B = ".lora_B.weight"
)

func lastWord(module string) string { return module[strings.LastIndex(module, ".")+1:] }

// Words are the targets, all of them named.
func (c LoRA) Words() []string {
	if len(c.Targets) > 0 {
		return c.Targets
	}
	var words []string
	for _, m := range modules {
		words = append(words, lastWord(m))
	}
	return words
}

// Adapted lists the matrices that c adapts in a model, without ".weight", in order.
func (c LoRA) Adapted(layers int) []string {
	var names []string
	words := c.Words()
	for l := range layers {
		for _, m := range modules {
			if slices.Contains(words, lastWord(m)) {
				names = append(names, fmt.Sprintf("model.layers.%d.%s", l, m))
			}
		}
	}
	return names
}

// NumParams counts the elements of the adapters on a model.
func (c LoRA) NumParams(config *model.Config) int {
	n := 0
	for _, p := range config.Params(model.LMHead) {
		module := strings.TrimSuffix(p.Name, ".weight")
		if module != p.Name && len(p.Shape) == 2 && slices.Contains(c.Words(), lastWord(module)) {
			n += c.Rank * (p.Shape[0] + p.Shape[1])
		}
	}
	return n
}

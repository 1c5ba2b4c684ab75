package tiny

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Adapter writes a LoRA adapter for the model in base, in PEFT's form, on some of
// its matrices; a critic's has a value head besides. Equal arguments give equal
// weights.
func Adapter(tb testing.TB, base string, head model.Head, seed uint64) string {
	tb.Helper()
	dir := tb.TempDir()
	c, weights := load(tb, base)
	defer weights.Close()
	digest, err := peft.DigestOf(c, weights)
	must(tb, err)
	config := peft.Config{PEFTType: "LORA", TaskType: peft.PolicyTask, Base: base, Rank: 3, Alpha: 6, Targets: []string{"q_proj", "v_proj", "down_proj"}}
	if head == model.ValueHead {
		config.TaskType, config.Rank, config.Targets = peft.CriticTask, 4, []string{"k_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "v_proj"}
	}
	text, err := json.Marshal(config)
	must(tb, err)
	must(tb, os.WriteFile(filepath.Join(dir, peft.ConfigFile), text, 0o644))
	rng := rand.New(rand.NewPCG(seed, 1))
	random := func(name string, rows, columns int) safetensors.Tensor {
		values := make([]float32, rows*columns)
		for i := range values {
			values[i] = float32(rng.NormFloat64()) / 8
		}
		return safetensors.Float32Tensor(name, []int{rows, columns}, values)
	}
	var tensors []safetensors.Tensor
	for _, name := range config.LoRA().Adapted(c.Layers) {
		w, err := weights.Get(name + ".weight")
		must(tb, err)
		tensors = append(tensors, random(peft.Prefix+name+peft.A, config.Rank, w.Shape[1]), random(peft.Prefix+name+peft.B, w.Shape[0], config.Rank))
	}
	if head == model.ValueHead {
		tensors = append(tensors, random(peft.Score, 1, c.Hidden))
	}
	must(tb, safetensors.Write(filepath.Join(dir, peft.WeightFile), tensors, map[string]string{peft.BaseDigest: digest}))
	return dir
}

// Merged writes the model that the adapter makes of base, and beside it the
// adapter, as the trainer does.
func Merged(tb testing.TB, base, adapter string, head model.Head) string {
	tb.Helper()
	c, weights := load(tb, base)
	defer weights.Close()
	a, err := peft.Open(adapter, c, head)
	must(tb, err)
	defer a.Close()
	dir := with(tb, base, head, func(p model.Param) safetensors.Tensor {
		if p.Name == model.ValueHeadName {
			top, _ := a.Get(p.Name)
			top.Name = p.Name
			return top
		}
		w, err := weights.Get(p.Name)
		must(tb, err)
		low, ok := a.Get(strings.TrimSuffix(p.Name, ".weight") + peft.A)
		if !ok {
			return w
		}
		up, _ := a.Get(strings.TrimSuffix(p.Name, ".weight") + peft.B)
		values := floats(tb, w)
		av, bv := floats(tb, low), floats(tb, up)
		for o := range w.Shape[0] {
			for i := range w.Shape[1] {
				var sum float64
				for r := range a.Rank {
					sum += float64(bv[o*a.Rank+r]) * float64(av[r*w.Shape[1]+i])
				}
				values[o*w.Shape[1]+i] += float32(a.Scale() * sum)
			}
		}
		return safetensors.Float32Tensor(p.Name, w.Shape, values)
	})
	must(tb, os.CopyFS(filepath.Join(dir, peft.Folder), os.DirFS(adapter)))
	return dir
}

// Headed writes a critic that is a value head on the backbone of the policy in
// dir.
func Headed(tb testing.TB, policy string, seed uint64) string {
	tb.Helper()
	c, weights := load(tb, policy)
	defer weights.Close()
	rng := rand.New(rand.NewPCG(seed, 2))
	top := make([]float32, c.Hidden)
	for i := range top {
		top[i] = float32(rng.NormFloat64()) / 4
	}
	return with(tb, policy, model.ValueHead, func(p model.Param) safetensors.Tensor {
		if p.Name == model.ValueHeadName {
			return safetensors.Float32Tensor(p.Name, p.Shape, top)
		}
		w, err := weights.Get(p.Name)
		must(tb, err)
		return w
	})
}

// with copies the model folder from with other weights.
func with(tb testing.TB, from string, head model.Head, get func(model.Param) safetensors.Tensor) string {
	tb.Helper()
	dir := tb.TempDir()
	c, err := model.LoadConfig(from)
	must(tb, err)
	files, err := filepath.Glob(filepath.Join(from, "tokenizer*"))
	must(tb, err)
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(tb, err)
		must(tb, os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644))
	}
	must(tb, c.Save(dir, head, "float32"))
	var tensors []safetensors.Tensor
	for _, p := range c.Params(head) {
		tensors = append(tensors, get(p))
	}
	must(tb, safetensors.WriteModel(dir, tensors))
	return dir
}

func load(tb testing.TB, dir string) (*model.Config, *safetensors.File) {
	tb.Helper()
	c, err := model.LoadConfig(dir)
	must(tb, err)
	weights, _, err := c.Weights(dir, model.LMHead)
	must(tb, err)
	return c, weights
}

func floats(tb testing.TB, t safetensors.Tensor) []float32 {
	tb.Helper()
	values, err := t.Float32()
	must(tb, err)
	return values
}

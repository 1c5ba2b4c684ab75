// Package tiny makes models that are small enough for tests: random weights, a
// tokenizer trained on a few lines, and the artifacts exported from them.
package tiny

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/reference"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// End is the token that ends a text.
const End = "<|end|>"

// corpus is what the tokenizer learns from.
var corpus = []string{
	"Ann has 3 apples and buys 14 more. How many apples are left?\n",
	"3+14=17\n", "17-5=12\n", "#### 12\n", "Tom sells 5 pens and finds 2. How many pens are there?\n",
}

// Config describes a model of the given family: two layers, hidden size 32.
func Config(arch model.Arch, vocab int) *model.Config {
	c := &model.Config{
		Arch: arch, Hidden: 32, Intermediate: 48, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16,
		Vocab: vocab, MaxPositions: 256, NormEps: 1e-5, RopeTheta: 10000, TieEmbeddings: arch != model.Llama,
		QKVBias: arch == model.Qwen2, ScaleEmb: 1, BOS: -1, Pad: 0, EOS: []int{0},
	}
	if arch == model.MiniCPM {
		c.ScaleEmb, c.ScaleDepth, c.DimModelBase = 12, 1.4, 16
	}
	return c
}

// Model writes a model folder in Hugging Face form and returns it. Equal
// arguments give equal weights.
func Model(tb testing.TB, arch model.Arch, head model.Head, seed uint64) string {
	tb.Helper()
	return Changed(tb, arch, head, seed, func(*model.Config) {})
}

// Changed is Model with another configuration.
func Changed(tb testing.TB, arch model.Arch, head model.Head, seed uint64, change func(*model.Config)) string {
	tb.Helper()
	dir := tb.TempDir()
	tok, err := tokenizer.Train(slices.Values(corpus), 300, []string{End})
	must(tb, err)
	must(tb, tok.Save(dir))
	c := Config(arch, tok.VocabSize())
	change(c)
	must(tb, c.Save(dir, head, "float32"))
	rng := rand.New(rand.NewPCG(seed, 0))
	var tensors []safetensors.Tensor
	for _, p := range c.Params(head) {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		values := make([]float32, n)
		scale := 1 / math.Sqrt(float64(p.Shape[len(p.Shape)-1]))
		for i := range values {
			if values[i] = float32(rng.NormFloat64() * scale); strings.HasSuffix(p.Name, "norm.weight") {
				values[i] += 1
			}
		}
		tensors = append(tensors, safetensors.Float32Tensor(p.Name, p.Shape, values))
	}
	must(tb, safetensors.WriteModel(dir, tensors))
	return dir
}

// Artifact exports a Model and returns both folders.
func Artifact(tb testing.TB, arch model.Arch, head model.Head, seed uint64) (artifact, source string) {
	tb.Helper()
	source = Model(tb, arch, head, seed)
	return Export(tb, source, head), source
}

// Export exports the model folder source in float32.
func Export(tb testing.TB, source string, head model.Head) (artifact string) {
	tb.Helper()
	kind := manifest.Policy
	if head == model.ValueHead {
		kind = manifest.Critic
	}
	artifact = filepath.Join(tb.TempDir(), "artifact")
	must(tb, export.Run(tb.Context(), export.Config{Kind: kind, Model: source, Out: artifact, Precision: graph.FP32}))
	return artifact
}

// Library points ORT_LIB to the onnxruntime that make setup put into the
// checkout, unless it is set, and skips the test if there is none.
func Library(tb testing.TB) {
	tb.Helper()
	if os.Getenv("ORT_LIB") != "" {
		return
	}
	dir, err := os.Getwd()
	must(tb, err)
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if lib := filepath.Join(dir, ".deps", "onnxruntime", "lib"); exists(lib) {
			must(tb, os.Setenv("ORT_LIB", lib)) // for the whole process: one library is all it can load
			return
		}
	}
	tb.Skip("needs onnxruntime: run make setup, or set ORT_LIB")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Reference runs the exporter's plain forward pass, without cache or batch, over
// the weights in a model folder: [T][V] logits or [T][1] values.
func Reference(tb testing.TB, dir string, head model.Head, ids []int) [][]float32 {
	tb.Helper()
	c, err := model.LoadConfig(dir)
	must(tb, err)
	weights, _, err := c.Weights(dir, head)
	must(tb, err)
	defer weights.Close()
	wide := make([]int64, len(ids))
	for i, id := range ids {
		wide[i] = int64(id)
	}
	out, err := reference.Forward(tb.Context(), reference.Model{Config: c, Head: head, Weights: weights}, wide)
	must(tb, err)
	return out
}

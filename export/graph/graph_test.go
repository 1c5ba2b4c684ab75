package graph

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

func source(t *testing.T, arch string, head model.Head) Source {
	t.Helper()
	dir := filepath.Join("..", "testdata", "tiny-"+arch+map[model.Head]string{model.LMHead: "-policy", model.ValueHead: "-critic"}[head])
	c, err := model.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, missing, err := c.Weights(dir, head)
	if err != nil || missing {
		t.Fatal(missing, err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return Source{Config: c, Head: head, Weights: w}
}

func build(t *testing.T, src Source, p Precision) (*onnx.ModelProto, error) {
	t.Helper()
	data, err := onnx.CreateData(t.TempDir(), "data")
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	return Build(t.Context(), src, p, data)
}

// TestWellFormed: names are unique paths, every input of a node was made before
// it, and every weight of the model is used.
func TestWellFormed(t *testing.T) {
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for _, head := range []model.Head{model.LMHead, model.ValueHead} {
			for _, p := range []Precision{FP32, FP16, Int8, Int4} {
				for _, form := range []Attention{Standard, Grouped} {
					t.Run(fmt.Sprint(arch, head, p, form), func(t *testing.T) {
						src := source(t, arch, head)
						src.Attention = form
						wellFormed(t, src, p)
					})
				}
			}
		}
	}
}

func wellFormed(t *testing.T, src Source, p Precision) {
	m, err := build(t, src, p)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{"": true}
	add := func(name string) {
		if made[name] {
			t.Errorf("%q is made twice", name)
		}
		made[name] = true
	}
	for _, v := range m.Graph.Input {
		add(v.GetName())
	}
	for _, v := range m.Graph.Initializer {
		add(v.GetName())
	}
	used, names := map[string]bool{}, map[string]bool{}
	for _, n := range m.Graph.Node {
		if names[n.GetName()] || !strings.HasPrefix(n.GetName(), "/") || !strings.Contains(n.GetName(), n.GetOpType()) {
			t.Errorf("node name %q", n.GetName())
		}
		names[n.GetName()] = true
		for _, in := range n.Input {
			if used[in] = true; !made[in] {
				t.Errorf("%s reads %q, which nothing made", n.GetName(), in)
			}
		}
		for _, out := range n.Output {
			if out != "" {
				add(out)
			}
		}
	}
	for _, v := range m.Graph.Output {
		if !made[v.GetName()] {
			t.Errorf("nothing made the output %s", v.GetName())
		}
	}
	for _, w := range src.Config.Params(src.Head) {
		if !isUsed(used, w.Name) {
			t.Errorf("weight %s is not used", w.Name)
		}
	}
	for _, w := range m.Graph.Initializer {
		if !used[w.GetName()] {
			t.Errorf("%s is stored and not used", w.GetName())
		}
	}
}

// isUsed tells whether a node reads a weight, on its own or stacked on q_proj's.
func isUsed(used map[string]bool, weight string) bool {
	query := strings.NewReplacer("k_proj", "q_proj", "v_proj", "q_proj").Replace(weight)
	for _, form := range []string{"", ".T", ".codes", ".table"} {
		if used[weight+form] || used[query+"+k_proj+v_proj"+form] {
			return true
		}
	}
	return false
}

// pair is a policy of the trainer's tests with a critic that PEFT trained on it.
func pair(t *testing.T, arch string, form Attention) Source {
	t.Helper()
	dir := filepath.Join("..", "..", "train", "nn", "testdata", arch)
	c, err := model.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := c.Weights(dir, model.LMHead)
	if err != nil {
		t.Fatal(err)
	}
	a, err := peft.Open(filepath.Join(dir, "lora-critic"), c, model.ValueHead)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = a.Close() })
	head, ok := a.Get(model.ValueHeadName)
	if !ok {
		t.Fatal("no value head")
	}
	return Source{Config: c, Head: model.LMHead, Weights: w, Attention: form, Critic: &Critic{Head: head, Change: peft.Change{Plus: a}}}
}

// TestPair: the graph of a pair is well formed, and has the weights of the policy
// once: what it holds beside them is the adapter's and the head's.
func TestPair(t *testing.T) {
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for _, form := range []Attention{Standard, Grouped} {
			src := pair(t, arch, form)
			wellFormed(t, src, FP32)
			both, err := build(t, src, FP32)
			if err != nil {
				t.Fatal(err)
			}
			adapters := 2 * len(src.Critic.Change.Plus.Adapted(src.Config.Layers))
			src.Critic = nil
			alone, err := build(t, src, FP32)
			if err != nil {
				t.Fatal(err)
			}
			more := map[string]bool{}
			for _, w := range both.Graph.Initializer {
				more[w.GetName()] = true
			}
			for _, w := range alone.Graph.Initializer {
				delete(more, w.GetName())
			}
			for name := range more {
				if !strings.Contains(name, "/lora/") && name != model.ValueHeadName && name != flatShape {
					t.Errorf("%s, %s: a pair also stores %s", arch, form, name)
				}
			}
			if form == Standard && len(more) != adapters+2 {
				t.Errorf("%s: %d more weights, want %d of adapters and 2 of the head", arch, len(more), adapters)
			}
		}
	}
}

// TestTiedTableIsStoredOnce: the head of a tied model reads the embeddings.
func TestTiedTableIsStoredOnce(t *testing.T) {
	m, err := build(t, source(t, "qwen2", model.LMHead), FP32)
	if err != nil {
		t.Fatal(err)
	}
	last := m.Graph.Node[len(m.Graph.Node)-1]
	if last.GetOpType() != "Gemm" || last.Input[1] != model.EmbedName || last.Output[0] != "logits" {
		t.Error(last)
	}
}

// TestQuantisedTableIsStoredOnce: there are two shapes, and one place in the file.
func TestQuantisedTableIsStoredOnce(t *testing.T) {
	src := source(t, "qwen2", model.LMHead)
	src.Config.Vocab *= 2 // for a table that does not fit into the graph
	src.Weights = repeatRows(t, src, model.EmbedName)
	m, err := build(t, src, Int4)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, w := range m.Graph.Initializer {
		if strings.HasPrefix(w.GetName(), model.EmbedName) {
			at[strings.TrimPrefix(w.GetName(), model.EmbedName)] = fmt.Sprint(w.Dims, w.ExternalData)
		}
	}
	codes, found := strings.CutPrefix(at[".codes"], "[192 1 32]")
	table, also := strings.CutPrefix(at[".table"], "[192 32]")
	if !found || !also || codes != table {
		t.Errorf("%q and %q", at[".codes"], at[".table"])
	}
}

// repeatRows returns the weights of src with one matrix twice as long.
func repeatRows(t *testing.T, src Source, long string) *safetensors.File {
	t.Helper()
	var all []safetensors.Tensor
	for _, name := range src.Weights.Names() {
		w, _ := src.Weights.Get(name)
		if name == long {
			w.Shape, w.Data = []int{2 * w.Shape[0], w.Shape[1]}, slices.Concat(w.Data, w.Data)
		}
		all = append(all, w)
	}
	return reopen(t, all)
}

func reopen(t *testing.T, tensors []safetensors.Tensor) *safetensors.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestLongContext: a model that claims a million positions gets a table of MaxTable.
func TestLongContext(t *testing.T) {
	src := source(t, "llama", model.LMHead)
	src.Config.MaxPositions = 1 << 20
	m, err := build(t, src, FP32)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Graph.Initializer {
		if w.GetName() == cosTable && (w.Dims[0] != MaxTable || Positions(src.Config) != MaxTable) {
			t.Error(w.Dims)
		}
	}
}

// TestUnfitWeights: what a type cannot hold is an error that names the weight.
func TestUnfitWeights(t *testing.T) {
	for _, c := range []struct {
		value float32
		p     Precision
		want  string
	}{
		{float32(math.NaN()), FP32, "model.layers.1.mlp.up_proj.weight.T: model.layers.1.mlp.up_proj.weight: element 7 is NaN"},
		{float32(math.Inf(-1)), Int8, "model.layers.1.mlp.up_proj.weight: element 7 is -Inf"},
		{70000, FP16, "model.layers.1.mlp.up_proj.weight.T: 70000 does not fit in float16"},
	} {
		src := source(t, "llama", model.LMHead)
		var all []safetensors.Tensor
		for _, name := range src.Weights.Names() {
			w, _ := src.Weights.Get(name)
			values, _ := w.Float32()
			if name == "model.layers.1.mlp.up_proj.weight" {
				values[7] = c.value
			}
			all = append(all, safetensors.Float32Tensor(name, w.Shape, values))
		}
		src.Weights = reopen(t, all)
		if _, err := build(t, src, c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func TestWidthOfBlocks(t *testing.T) {
	src := source(t, "llama", model.LMHead)
	src.Config.Hidden = 24
	if _, err := build(t, src, Int8); err == nil || !strings.Contains(err.Error(), "hidden_size 24 is not a multiple of 32") {
		t.Error(err)
	}
}

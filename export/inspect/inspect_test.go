package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
)

func artifact(t *testing.T, arch string, kind manifest.Kind, p graph.Precision, form graph.Attention) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	err := export.Run(t.Context(), export.Config{Kind: kind, Out: dir, Precision: p, Attention: form,
		Model: filepath.Join("..", "testdata", "tiny-"+arch+"-"+string(kind))})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEveryGraphMatches(t *testing.T) {
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for _, kind := range []manifest.Kind{manifest.Policy, manifest.Critic} {
			for _, p := range []graph.Precision{graph.FP32, graph.FP16, graph.Int8, graph.Int4} {
				for form, op := range map[graph.Attention]string{graph.Standard: "Attention 2", graph.Grouped: "GroupQueryAttention 2"} {
					if form == graph.Grouped && p == graph.FP16 {
						continue
					}
					var out bytes.Buffer
					if err := Run(t.Context(), &out, artifact(t, arch, kind, p, form)); err != nil {
						t.Errorf("%s %s %s %s: %v", arch, kind, p, form, err)
					}
					for _, want := range []string{string(kind) + " of a " + arch, "weights    " + string(p), "operator   " + op, "input      past_k.0", string(form)} {
						if !strings.Contains(out.String(), want) {
							t.Errorf("%s %s %s: no %q in\n%s", arch, kind, p, want, &out)
						}
					}
				}
			}
		}
	}
}

// rewrite changes the graph of an artifact, and the manifest's hash with it.
func rewrite(t *testing.T, dir string, change func(g *onnx.GraphProto)) {
	t.Helper()
	path := filepath.Join(dir, manifest.GraphFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m onnx.ModelProto
	if err := proto.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	change(m.Graph)
	if err := onnx.Save(path, &m); err != nil {
		t.Fatal(err)
	}
	rehash(t, dir)
}

func rehash(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, manifest.Name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Files {
		if m.Files[i], err = manifest.Hash(t.Context(), dir, f.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
}

func find(g *onnx.GraphProto, op string) *onnx.NodeProto {
	for _, n := range g.Node {
		if n.GetOpType() == op {
			return n
		}
	}
	return nil
}

func TestFaultsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *onnx.GraphProto)
		want   string
	}{
		"grouped: wrong heads":      {func(g *onnx.GraphProto) { find(g, "GroupQueryAttention").Attribute[1].I = proto.Int64(4) }, "kv_num_heads is 4"},
		"grouped: not turned":       {func(g *onnx.GraphProto) { find(g, "GroupQueryAttention").Attribute[2].I = proto.Int64(0) }, "do_rotary is 0"},
		"grouped: skipped residual": {func(g *onnx.GraphProto) { n := find(g, "SkipSimplifiedLayerNormalization"); n.Input[1] = n.Input[0] }, "no output depends on"},
		"lost operator":             {func(g *onnx.GraphProto) { find(g, "Sigmoid").OpType = proto.String("Tanh") }, "1 operators Sigmoid, want 2"},
		"wrong heads":               {func(g *onnx.GraphProto) { find(g, "RotaryEmbedding").Attribute[0].I = proto.Int64(3) }, "num_heads is 3"},
		"wrong epsilon":             {func(g *onnx.GraphProto) { find(g, "RMSNormalization").Attribute[1].F = proto.Float32(1e-3) }, "epsilon is 0.001"},
		"not causal":                {func(g *onnx.GraphProto) { find(g, "Attention").Attribute[0].I = proto.Int64(0) }, "is_causal is 0"},
		"wrong input":               {func(g *onnx.GraphProto) { g.Input[0].Name = proto.String("ids") }, "inputs are [ids"},
		"lost output":               {func(g *onnx.GraphProto) { g.Output = g.Output[:len(g.Output)-1] }, "outputs are"},
		"skipped residual":          {func(g *onnx.GraphProto) { n := find(g, "Add"); n.Input[1] = n.Input[0] }, "no output depends on"},
	} {
		t.Run(name, func(t *testing.T) {
			form := graph.Standard
			if strings.HasPrefix(name, "grouped") {
				form = graph.Grouped
			}
			dir := artifact(t, "llama", manifest.Policy, graph.FP32, form)
			rewrite(t, dir, c.change)
			if err := Run(t.Context(), &bytes.Buffer{}, dir); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestDamagedGraph: whatever onnx-go does with a damaged file, it is an error.
func TestDamagedGraph(t *testing.T) {
	dir := artifact(t, "qwen2", manifest.Policy, graph.FP32, graph.Grouped)
	path := filepath.Join(dir, manifest.GraphFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 97 {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0xff
		_ = os.WriteFile(path, damaged, 0o644)
		_, _ = take(path) // an error or a graph that check refuses, never a panic
		_ = os.WriteFile(path, whole[:i], 0o644)
		if _, err := take(path); err == nil && i < len(whole)/2 {
			t.Errorf("cut to %d of %d bytes: no error", i, len(whole))
		}
	}
	_ = os.WriteFile(path, nil, 0o644)
	if err := Run(t.Context(), &bytes.Buffer{}, dir); err == nil || !strings.Contains(err.Error(), "0 bytes") {
		t.Error(err)
	}
}

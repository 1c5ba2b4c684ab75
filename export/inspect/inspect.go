// Package inspect describes an artifact and checks its graph against what
// config.json asks for, by way of onnx-go: a reader of ONNX that shares no code
// with the writer in package onnx.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// ErrMismatch says that the graph is not the one config.json describes.
var ErrMismatch = errors.New("graph does not match config.json")

// Run writes a summary of the artifact in dir to w. Its error wraps ErrMismatch
// and lists the faults if the graph has any.
func Run(ctx context.Context, w io.Writer, dir string) error {
	m, err := manifest.Load(dir)
	if err != nil {
		return err
	}
	if err := m.CheckHashes(ctx, dir); err != nil {
		return err
	}
	c, err := model.LoadConfig(dir)
	if err != nil {
		return err
	}
	graph, err := take(filepath.Join(dir, manifest.GraphFile))
	if err != nil {
		return err
	}
	summarise(w, m, c, graph)
	if faults := graph.check(m, c); len(faults) > 0 {
		return fmt.Errorf("%s: %w: %s", dir, ErrMismatch, strings.Join(faults, "; "))
	}
	fmt.Fprintf(w, "%s holds what %s asks for\n", manifest.GraphFile, model.ConfigFile)
	return nil
}

func summarise(w io.Writer, m *manifest.Manifest, c *model.Config, graph *census) {
	head, what := model.LMHead, string(m.Kind)
	switch {
	case m.Kind == manifest.Critic:
		head = model.ValueHead
	case m.Kind == manifest.Pair && isAdapted(m):
		what = "policy and critic on one backbone, the critic by an adapter,"
	case m.Kind == manifest.Pair:
		what = "policy and critic on one backbone"
	}
	d := m.Dims
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("kind", "%s of a %s model, %.1f million parameters", what, d.Arch, float64(c.NumParams(head))/1e6)
	line("weights", "%s, cache in %s; from %s", m.DType, m.KVDType, m.Source.SHA256[:min(16, len(m.Source.SHA256))])
	line("shape", "%d layers, hidden %d, %d heads and %d for keys and values, %d wide, vocabulary %d", d.Layers, d.Hidden, d.Heads, d.KVHeads, d.HeadDim, d.Vocab)
	line("positions", "%d (config.json: %d)", d.MaxPositions, c.MaxPositions)
	form := "standard"
	if isGrouped(m) {
		form = "grouped"
	}
	line("graph", "%s attention, opset %d, IR %d, %d operators, by %s", form, m.Opset, m.IR, len(graph.ops), m.Tool)
	for i, v := range slices.Concat(m.Inputs, m.Outputs) {
		if _, layer, ok := strings.Cut(v.Name, "."); ok && layer != "0" {
			continue
		}
		name := "input"
		if i >= len(m.Inputs) {
			name = "output"
		}
		line(name, "%s %s %v", v.Name, v.DType, v.Shape)
	}
	for _, f := range m.Files {
		line("file", "%s %.1f MB", f.Name, float64(f.Size)/1e6)
	}
	counts := graph.counts()
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		line("operator", "%s %d", op, counts[op])
	}
	_ = t.Flush()
}

// check compares the graph with what the configuration asks for and returns the
// faults.
func (g *census) check(m *manifest.Manifest, c *model.Config) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	grouped := isGrouped(m)
	inputs, outputs := ports(m, c.Layers)
	if !slices.Equal(g.inputs, inputs) {
		fault("inputs are %v, want %v", g.inputs, inputs)
	}
	if !slices.Equal(g.outputs, outputs) {
		fault("outputs are %v, want %v", g.outputs, outputs)
	}
	got, want := g.counts(), operators(m, c, grouped)
	if adapters := got["ScatterND"]; isAdapted(m) && adapters > 0 { // how many matrices have one is free
		want["ScatterND"], want["MatMul"] = adapters, want["MatMul"]+2*adapters
		want["GatherND"] = min(got["GatherND"], adapters)
		if m.DType == "fp16" { // else ScatterND adds
			want["Add"], want["GatherND"] = want["Add"]+adapters, min(got["GatherND"], 2*adapters)
		}
	}
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, op := range slices.Sorted(maps.Keys(all)) {
		if got[op] != want[op] {
			fault("%d operators %s, want %d", got[op], op, want[op])
		}
	}
	if len(g.dead) > 0 {
		fault("no output depends on %v", g.dead)
	}
	for _, o := range g.ops {
		if f := o.check(c); f != "" {
			fault("%s: %s", o.results[0].name, f)
		}
	}
	return faults
}

// isGrouped tells the form of attention, by the inputs that the manifest lists.
func isGrouped(m *manifest.Manifest) bool { return takes(m, manifest.SeqLensK) }

// isAdapted tells whether a pair's critic changes the backbone on its way.
func isAdapted(m *manifest.Manifest) bool { return takes(m, manifest.CriticRows) }

func takes(m *manifest.Manifest, input string) bool {
	return slices.ContainsFunc(m.Inputs, func(v manifest.Value) bool { return v.Name == input })
}

// ports are the names of inputs and outputs for L layers.
func ports(m *manifest.Manifest, layers int) (inputs, outputs []string) {
	inputs = []string{manifest.InputIDs, manifest.PositionIDs}
	if isGrouped(m) {
		inputs = append(inputs, manifest.SeqLensK, manifest.TotalLen, manifest.AttentionBias)
	} else {
		inputs = append(inputs, manifest.WriteIndices, manifest.NonpadKVLen)
	}
	inputs = append(inputs, manifest.OutRows)
	if isAdapted(m) {
		inputs = append(inputs, manifest.CriticRows)
	}
	switch m.Kind {
	case manifest.Pair:
		inputs = append(inputs, manifest.ValueRows)
		outputs = []string{manifest.Logits, manifest.Values}
	case manifest.Critic:
		outputs = []string{manifest.Values}
	default:
		outputs = []string{manifest.Logits}
	}
	for l := range layers {
		inputs = append(inputs, fmt.Sprint(manifest.PastK, ".", l), fmt.Sprint(manifest.PastV, ".", l))
		outputs = append(outputs, fmt.Sprint(manifest.PresentK, ".", l), fmt.Sprint(manifest.PresentV, ".", l))
	}
	return inputs, outputs
}

// operators counts what the equations of the model need.
func operators(m *manifest.Manifest, c *model.Config, grouped bool) map[string]int {
	l := c.Layers
	policy, quantised := m.Kind != manifest.Critic, m.DType == "int8" || m.DType == "int4"
	n := map[string]int{
		"Gather": 2, "RMSNormalization": 2*l + 1, "RotaryEmbedding": 2 * l, "Attention": l, "TensorScatter": 2 * l,
		"Sigmoid": l, "Mul": 2 * l, "Add": 2 * l, "Transpose": 4 * l, "Reshape": 4*l + 1, "MatMul": 7 * l, "Gemm": 1,
	}
	projections := 3 // with a bias, if there is one
	if grouped {
		n = map[string]int{
			"Gather": 2, "RMSNormalization": 1, "SkipSimplifiedLayerNormalization": 2 * l, "GroupQueryAttention": l,
			"Sigmoid": l, "Mul": 2 * l, "Reshape": 1, "MatMul": 5 * l, "Gemm": 1,
		}
		projections = 1
	}
	if c.QKVBias {
		n["Add"] += projections * l
	}
	if c.ScaleEmb != 1 {
		n["Mul"]++
	}
	if c.ResidualScale() != 1 {
		n["Mul"] += 2 * l
	}
	if policy && c.LogitScale() != 1 {
		n["Mul"]++
	}
	if m.Kind != manifest.Policy {
		n["Reshape"]++
	}
	if m.DType == "fp16" {
		n["Cast"] = len(m.Kinds()) // of each answer
	}
	if quantised {
		n["Gather"], n["GatherBlockQuantized"] = n["Gather"]-1, 1
		n["MatMulNBits"], n["MatMul"] = n["MatMul"], 0
		if policy {
			n["MatMulNBits"], n["Gemm"] = n["MatMulNBits"]+1, 0
		}
	}
	if m.Kind == manifest.Pair { // the critic's rows and head
		n["Gather"]++
		n["Gemm"]++
	}
	return n
}

// check compares attributes with the configuration; "" is no fault.
func (o operation) check(c *model.Config) string {
	is := func(name string, want ...int) string {
		if v, ok := o.attributes[name].(int64); !ok || !slices.Contains(want, int(v)) {
			return fmt.Sprintf("%s is %v, want one of %v", name, o.attributes[name], want)
		}
		return ""
	}
	near := func(name string, want float64) string {
		if v, ok := o.attributes[name].(float32); !ok || math.Abs(float64(v)-want) > 1e-6*want {
			return fmt.Sprintf("%s is %v, want %v", name, o.attributes[name], want)
		}
		return ""
	}
	switch q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim; o.name {
	case "RMSNormalization", "SkipSimplifiedLayerNormalization":
		return near("epsilon", c.NormEps)
	case "GroupQueryAttention":
		return near("scale", 1/math.Sqrt(float64(c.HeadDim))) + is("num_heads", c.Heads) + is("kv_num_heads", c.KVHeads) + is("do_rotary", 1)
	case "RotaryEmbedding":
		return is("num_heads", c.Heads, c.KVHeads)
	case "Attention":
		return near("scale", 1/math.Sqrt(float64(c.HeadDim))) + is("is_causal", 1)
	case "TensorScatter":
		return is("axis", 2)
	case "GatherBlockQuantized":
		return is("block_size", 32, 64) + is("bits", 8)
	case "MatMulNBits":
		return is("K", c.Hidden, q, c.Intermediate) + is("N", c.Hidden, q, kv, q+2*kv, c.Intermediate, c.Vocab)
	}
	return ""
}

package graph

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// Probe returns a copy of a graph that Build made which answers, in the place of
// logits or values, with the hidden states that package reference's Trace
// returns, side by side: logits [R, P*C]. It takes one row at a time; of a pair
// it is the critic's way through the graph, or the policy's.
//
//	embeddings, residual streams, final norm -> Reshape [B*S, C] -> Gather out_rows -> Concat -> logits
func Probe(m *onnx.ModelProto, c *model.Config, critic bool) (probe *onnx.ModelProto, width int, err error) {
	probe = proto.CloneOf(m)
	g := probe.GetGraph()
	states, half, err := states(g, c.Layers)
	if err != nil {
		return nil, 0, err
	}
	heads := []string{"/model/rows/", "/lm_head/", "/value_head/"}
	g.Node = slices.DeleteFunc(g.Node, func(n *onnx.NodeProto) bool {
		return slices.ContainsFunc(heads, func(h string) bool { return strings.HasPrefix(n.GetName(), h) })
	})
	g.Input = slices.DeleteFunc(g.Input, func(v *onnx.ValueInfoProto) bool {
		return v.GetName() == manifest.ValueRows || v.GetName() == manifest.CriticRows
	})
	g.Output = slices.DeleteFunc(g.Output, func(v *onnx.ValueInfoProto) bool {
		return v.GetName() == manifest.Values || v.GetName() == manifest.Logits
	})
	width = len(states) * c.Hidden
	b := &builder{g: g, nodes: map[string]int{}}
	b.output(manifest.Logits, onnx.TensorProto_FLOAT, "R", width)
	var rows []string
	for _, s := range states {
		rows = append(rows, b.node("/probe", "Gather", in(b.node("/probe", "Reshape", in(s, rowsShape)), manifest.OutRows), attrInt("axis", 0)))
	}
	all := b.node("/probe", "Concat", rows, attrInt("axis", 1))
	if half {
		all = b.node("/probe", "Cast", in(all), attrInt("to", int64(onnx.TensorProto_FLOAT)))
	}
	b.rename(all, manifest.Logits)
	ours := &onnx.TensorProto{Name: proto.String(manifest.CriticRows), DataType: proto.Int32(int32(onnx.TensorProto_INT64)), Dims: []int64{0, 1}}
	if critic {
		ours.Dims, ours.RawData = []int64{1, 1}, binary.LittleEndian.AppendUint64(nil, 0)
	}
	if slices.ContainsFunc(g.Node, func(n *onnx.NodeProto) bool { return slices.Contains(n.Input, manifest.CriticRows) }) {
		g.Initializer = append(g.Initializer, ours)
	}
	return probe, width, nil
}

// states finds the values of the hidden states: what each norm takes in, and what
// the last one gives. half tells that they are float16.
func states(g *onnx.GraphProto, layers int) (names []string, half bool, err error) {
	last := ""
	for _, n := range g.GetNode() {
		switch {
		case n.GetOpType() == "RMSNormalization" && len(n.Input) > 0 && len(n.Output) == 1:
			names, last = append(names, n.Input[0]), n.Output[0]
		case n.GetOpType() == "SkipSimplifiedLayerNormalization" && len(n.Output) == 4:
			names, last = append(names, n.Output[3]), n.Output[0]
		}
	}
	if len(names) != 2*layers+1 {
		return nil, false, fmt.Errorf("%d norms in the graph, want %d for %d layers", len(names), 2*layers+1, layers)
	}
	for _, v := range g.GetInput() {
		if strings.HasPrefix(v.GetName(), manifest.PastK) {
			half = v.GetType().GetTensorType().GetElemType() == int32(onnx.TensorProto_FLOAT16)
		}
	}
	return append(names, last), half, nil
}

package graph

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"google.golang.org/protobuf/proto"
)

// Names of constants that several nodes share.
const (
	cosTable   = manifest.CosTable
	sinTable   = manifest.SinTable
	queryShape = "shape.query" // [0, 0, H, D]
	keyShape   = "shape.key"   // [0, 0, K, D]
	mergeShape = "shape.merge" // [0, 0, H*D]
	rowsShape  = "shape.rows"  // [-1, C]
	flatShape  = "shape.flat"  // [-1]
)

const contribDomain = "com.microsoft"

// builder collects nodes. The first error stops all later work and is reported
// by model, so that the subgraphs read as equations.
type builder struct {
	ctx      context.Context
	src      Source
	c        *model.Config
	p        Precision
	t        onnx.TensorProto_DataType // of activations and of the cache
	data     *onnx.DataWriter
	g        *onnx.GraphProto
	made     map[string]bool   // initializers, by name
	nodes    map[string]int    // node names used, to number repeats
	rows     map[string]string // what criticRows made, by value
	contribs bool
	err      error
}

func newBuilder(ctx context.Context, src Source, p Precision, data *onnx.DataWriter) *builder {
	b := &builder{ctx: ctx, src: src, c: src.Config, p: p, t: onnx.TensorProto_FLOAT, data: data,
		g: &onnx.GraphProto{Name: proto.String(string(src.Config.Arch))}, made: map[string]bool{}, nodes: map[string]int{}, rows: map[string]string{}}
	if p == FP16 {
		b.t = onnx.TensorProto_FLOAT16
	}
	return b
}

func (b *builder) quantised() bool { return b.p == Int8 || b.p == Int4 }

func (b *builder) model() (*onnx.ModelProto, error) {
	if b.err != nil {
		return nil, b.err
	}
	m := &onnx.ModelProto{
		IrVersion: proto.Int64(IR), ProducerName: proto.String("oreo-export"), Graph: b.g,
		OpsetImport: []*onnx.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(Opset)}},
	}
	if b.contribs {
		m.OpsetImport = append(m.OpsetImport, &onnx.OperatorSetIdProto{Domain: proto.String(contribDomain), Version: proto.Int64(1)})
	}
	return m, nil
}

// node adds an operator under path and returns the name of its output.
func (b *builder) node(path, op string, inputs []string, attrs ...*onnx.AttributeProto) string {
	name := path + "/" + op
	if b.nodes[name]++; b.nodes[name] > 1 {
		name = fmt.Sprintf("%s_%d", name, b.nodes[name])
	}
	out := name + ".out"
	b.g.Node = append(b.g.Node, &onnx.NodeProto{Name: proto.String(name), OpType: proto.String(op), Input: inputs, Output: []string{out}, Attribute: attrs})
	return out
}

// contrib is node for an operator of onnxruntime's own domain.
func (b *builder) contrib(path, op string, inputs []string, attrs ...*onnx.AttributeProto) string {
	b.contribs = true
	out := b.node(path, op, inputs, attrs...)
	b.g.Node[len(b.g.Node)-1].Domain = proto.String(contribDomain)
	return out
}

// rename gives the output of the newest node the name of a graph output.
func (b *builder) rename(out, name string) string {
	last := b.g.Node[len(b.g.Node)-1]
	if last.Output[0] != out {
		panic("graph: rename of " + out + ", which is not the newest node")
	}
	last.Output[0] = name
	return name
}

func (b *builder) input(name string, t onnx.TensorProto_DataType, shape ...any) {
	b.g.Input = append(b.g.Input, valueInfo(name, t, shape))
}

func (b *builder) output(name string, t onnx.TensorProto_DataType, shape ...any) {
	b.g.Output = append(b.g.Output, valueInfo(name, t, shape))
}

// valueInfo declares a graph input or output; ints in shape are fixed sizes,
// strings free ones.
func valueInfo(name string, t onnx.TensorProto_DataType, shape []any) *onnx.ValueInfoProto {
	s := &onnx.TensorShapeProto{}
	for _, d := range shape {
		dim := &onnx.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			dim.Value = &onnx.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			dim.Value = &onnx.TensorShapeProto_Dimension_DimParam{DimParam: d}
		}
		s.Dim = append(s.Dim, dim)
	}
	return &onnx.ValueInfoProto{Name: proto.String(name), Type: &onnx.TypeProto{Value: &onnx.TypeProto_TensorType{
		TensorType: &onnx.TypeProto_Tensor{ElemType: proto.Int32(int32(t)), Shape: s}}}}
}

// initializer stores a tensor once under name.
func (b *builder) initializer(name string, t onnx.TensorProto_DataType, shape []int, write func(io.Writer) error) string {
	if b.err != nil || b.made[name] {
		return name
	}
	b.made[name] = true
	if b.err = b.ctx.Err(); b.err != nil {
		return name
	}
	tensor, err := b.data.Add(name, t, shape, write)
	if err != nil {
		b.err = fmt.Errorf("%s: %w", name, err)
		return name
	}
	b.g.Initializer = append(b.g.Initializer, tensor)
	return name
}

// constants adds the shapes and the position table.
func (b *builder) constants() {
	c := b.c
	if !b.grouped() {
		b.ints(queryShape, 0, 0, c.Heads, c.HeadDim)
		b.ints(keyShape, 0, 0, c.KVHeads, c.HeadDim)
		b.ints(mergeShape, 0, 0, c.Heads*c.HeadDim)
	}
	b.ints(rowsShape, -1, c.Hidden)
	if b.valued() {
		b.ints(flatShape, -1)
	}
	freq := c.InvFreq()
	b.angles(cosTable, freq, math.Cos)
	b.angles(sinTable, freq, math.Sin)
}

// angles is the table [P, D/2] of f(position * frequency).
func (b *builder) angles(name string, freq []float64, f func(float64) float64) {
	p := Positions(b.c)
	b.initializer(name, b.t, []int{p, len(freq)}, func(w io.Writer) error {
		row := make([]float32, len(freq))
		for pos := range p {
			for i, fr := range freq {
				row[i] = float32(f(float64(pos) * fr))
			}
			if err := writeFloats(w, b.t, row); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *builder) ints(name string, values ...int) {
	b.initializer(name, onnx.TensorProto_INT64, []int{len(values)}, func(w io.Writer) error {
		return binary.Write(w, binary.LittleEndian, int64s(values))
	})
}

func (b *builder) scalar(name string, v float64) string {
	return b.initializer(name+"/factor", b.t, nil, func(w io.Writer) error {
		return writeFloats(w, b.t, []float32{float32(v)})
	})
}

func int64s(values []int) []int64 {
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

func in(names ...string) []string { return names }

func attrInt(name string, v int64) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_INT.Enum(), I: proto.Int64(v)}
}

func attrInts(name string, v ...int64) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_INTS.Enum(), Ints: v}
}

func attrFloat(name string, v float32) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_FLOAT.Enum(), F: proto.Float32(v)}
}

func attrString(name, v string) *onnx.AttributeProto {
	return &onnx.AttributeProto{Name: proto.String(name), Type: onnx.AttributeProto_STRING.Enum(), S: []byte(v)}
}

// attentionScale is 1 / sqrt(D).
func attentionScale(c *model.Config) float32 { return float32(1 / math.Sqrt(float64(c.HeadDim))) }

// Values lists the inputs or outputs of a graph for the manifest.
func Values(infos []*onnx.ValueInfoProto) []manifest.Value {
	var out []manifest.Value
	for _, v := range infos {
		tensor := v.GetType().GetTensorType()
		value := manifest.Value{Name: v.GetName(), DType: typeName(onnx.TensorProto_DataType(tensor.GetElemType())), Shape: []any{}}
		for _, d := range tensor.GetShape().GetDim() {
			if p := d.GetDimParam(); p != "" {
				value.Shape = append(value.Shape, p)
			} else {
				value.Shape = append(value.Shape, d.GetDimValue())
			}
		}
		out = append(out, value)
	}
	return out
}

func typeName(t onnx.TensorProto_DataType) string {
	switch t {
	case onnx.TensorProto_INT64:
		return manifest.Int64
	case onnx.TensorProto_INT32:
		return manifest.Int32
	case onnx.TensorProto_FLOAT16:
		return manifest.Float16
	}
	return manifest.Float32
}

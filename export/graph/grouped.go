package graph

import (
	"google.golang.org/protobuf/proto"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// Attention is the form of the graph around the key/value cache.
type Attention string

// Standard is made of ONNX's own operators and takes rows of any raggedness, in
// float16 on a GPU too. Grouped is made of onnxruntime's GroupQueryAttention: a
// third of the nodes, and a mask from outside, so that the branches of a tree
// can be decoded as one sequence over one cache. It is float32 alone.
const (
	Standard Attention = "standard"
	Grouped  Attention = "grouped"
)

// FormOf is the better form for a model: Grouped where its kernel takes it, which
// turns heads of 16 elements or a multiple.
func FormOf(c *model.Config, p Precision) Attention {
	if p == FP16 || c.HeadDim%16 != 0 {
		return Standard
	}
	return Grouped
}

func (b *builder) grouped() bool { return b.src.Attention == Grouped }

// groupedAttention of layer l on x [B, S, C]; the operator turns queries and keys,
// and appends keys and values to the cache in place:
//
//	x -> qkv_proj [B, S, (H+2K)*D] -> GroupQueryAttention -> o_proj ->
//	                  past_k, past_v --^              '-> present_k, present_v
func (b *builder) groupedAttention(l int, path, name, x string) string {
	c := b.c
	qkv := b.linear(path+"/qkv_proj", x, c.QKVBias, name+".q_proj", name+".k_proj", name+".v_proj")
	inputs := in(qkv, "", "")
	outputs := in(path + "/GroupQueryAttention.out")
	for _, kv := range [][2]string{{manifest.PastK, manifest.PresentK}, {manifest.PastV, manifest.PresentV}} {
		past, present := cacheName(kv[0], l), cacheName(kv[1], l)
		b.input(past, b.t, "B", c.KVHeads, "M", c.HeadDim)
		b.output(present, b.t, "B", c.KVHeads, "M", c.HeadDim)
		inputs, outputs = append(inputs, past), append(outputs, present)
	}
	inputs = append(inputs, manifest.SeqLensK, manifest.TotalLen, cosTable, sinTable, manifest.PositionIDs, manifest.AttentionBias)
	b.contribs = true
	b.g.Node = append(b.g.Node, &onnx.NodeProto{Name: proto.String(path + "/GroupQueryAttention"), OpType: proto.String("GroupQueryAttention"),
		Domain: proto.String(contribDomain), Input: inputs, Output: outputs, Attribute: []*onnx.AttributeProto{
			attrInt("num_heads", int64(c.Heads)), attrInt("kv_num_heads", int64(c.KVHeads)), attrInt("do_rotary", 1), attrFloat("scale", attentionScale(c)),
		}})
	return b.linear(path+"/o_proj", outputs[0], false, name+".o_proj")
}

// addNorm adds y to the residual stream and normalises the sum in one operator;
// it returns the normalised and the sum.
func (b *builder) addNorm(path, name string, s stream) (normed, sum string) {
	const op = "SkipSimplifiedLayerNormalization"
	normed = b.contrib(path, op, in(s.x, s.y, b.table(name, b.t)), attrFloat("epsilon", float32(b.c.NormEps)))
	sum = normed + ".sum"
	last := b.g.Node[len(b.g.Node)-1]
	last.Output = append(last.Output, "", "", sum)
	return normed, sum
}

// Package graph builds the ONNX graph of a Qwen2, Llama or MiniCPM model from
// its configuration and weights, without tracing a program.
//
// Letters: B rows of a batch, S new tokens per row, M slots of the KV cache,
// R answered positions, C hidden width, H query heads, K key and value heads,
// D head width, V vocabulary, P length of the position table.
//
// The graph uses ONNX opset 24. Each layer keeps its keys and values in buffers
// of M slots that the caller owns: TensorScatter writes the S new tokens of row b
// at slot write_indices[b], and Attention looks at the first nonpad_kv_seqlen[b]
// slots. So rows may have different lengths in every call: prefill, chunks and
// single-token decoding are one graph. Rows shorter than S are padded on the
// right, nonpad_kv_seqlen is write_indices + S for all of them, and what the
// padding wrote is overwritten by the next call.
package graph

import (
	"context"
	"fmt"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/export/quant"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Opset and IR are the versions of the operator set and of the file format.
const (
	Opset = 24
	IR    = 11
)

// MaxTable bounds the position table, in tokens: with D = 128 it is 16 MB, where
// a model that claims 2^20 positions would ask for half a gigabyte.
const MaxTable = 32768

// Precision is how weights are stored and multiplied.
type Precision string

// FP32 and FP16 compute in that type. Int8 and Int4 quantise embeddings and
// linear layers in blocks of 64 or 32 weights and compute in float32.
const (
	FP32 Precision = "fp32"
	FP16 Precision = "fp16"
	Int8 Precision = "int8"
	Int4 Precision = "int4"
)

// Source is a model to export.
type Source struct {
	Config  *model.Config
	Head    model.Head
	Weights *safetensors.File // must hold Config.Params(Head)
	// Attention is the form of the graph; Grouped must be what FormOf allows.
	Attention Attention
	// Critic makes a pair of a policy: both in one graph.
	Critic *Critic
	// Inputs of linear layers at some positions, [T][columns], by weight; Int4
	// rounds so that their outputs change least. It may be absent.
	Inputs map[string][][]float32
}

// Positions is the length P of the position table for c.
func Positions(c *model.Config) int { return min(c.MaxPositions, MaxTable) }

// Build returns the graph of src and writes its weights to data.
//
//	input_ids -> Gather -> [x scale_emb] -> layer 0 -> ... -> layer L-1
//	          -> RMSNormalization -> rows out_rows -> head -> logits | values
func Build(ctx context.Context, src Source, p Precision, data *onnx.DataWriter) (*onnx.ModelProto, error) {
	b := newBuilder(ctx, src, p, data)
	c := src.Config
	b.input(manifest.InputIDs, onnx.TensorProto_INT64, "B", "S")
	b.input(manifest.PositionIDs, onnx.TensorProto_INT64, "B", "S")
	if b.grouped() {
		b.input(manifest.SeqLensK, onnx.TensorProto_INT32, "B")
		b.input(manifest.TotalLen, onnx.TensorProto_INT32, 1)
		b.input(manifest.AttentionBias, b.t, 1, 1, "S", "T")
	} else {
		b.input(manifest.WriteIndices, onnx.TensorProto_INT64, "B")
		b.input(manifest.NonpadKVLen, onnx.TensorProto_INT64, "B")
	}
	b.input(manifest.OutRows, onnx.TensorProto_INT64, "R")
	if src.Critic.adapted() {
		b.input(manifest.CriticRows, onnx.TensorProto_INT64, "G", 1)
	}
	switch {
	case src.Critic != nil:
		b.input(manifest.ValueRows, onnx.TensorProto_INT64, "Q")
		b.output(manifest.Logits, onnx.TensorProto_FLOAT, "R", c.Vocab)
		b.output(manifest.Values, onnx.TensorProto_FLOAT, "Q")
	case src.Head == model.ValueHead:
		b.output(manifest.Values, onnx.TensorProto_FLOAT, "R")
	default:
		b.output(manifest.Logits, onnx.TensorProto_FLOAT, "R", c.Vocab)
	}
	b.constants()
	s := stream{x: b.embed()}
	for l := range c.Layers {
		s = b.layer(l, s)
	}
	b.head(s)
	return b.model()
}

// embed turns tokens into vectors [B, S, C].
func (b *builder) embed() string {
	const path = "/model/embed_tokens"
	var x string
	if b.quantised() {
		x = b.contrib(path, "GatherBlockQuantized", b.blockTable(model.EmbedName),
			attrInt("bits", 8), attrInt("block_size", int64(quant.Block(b.c.Hidden, 8))), attrInt("gather_axis", 0), attrInt("quantize_axis", 1))
	} else {
		x = b.node(path, "Gather", in(b.table(model.EmbedName, b.t), manifest.InputIDs))
	}
	return b.scaled(path+"/scale_emb", x, b.c.ScaleEmb)
}

// stream is the residual stream [B, S, C]: x, and y that is still to be added to
// it, "" for nothing.
type stream struct{ x, y string }

// layer is one pre-norm transformer block:
//
//	x -+-> norm -> attention -> [x s] -> + -+-> norm -> mlp -> [x s] -> + ->
//	   +--------------------------------^  +--------------------------^
//
// where s is MiniCPM's residual scale.
func (b *builder) layer(l int, s stream) stream {
	path, name := fmt.Sprintf("/model/layers.%d", l), fmt.Sprintf("model.layers.%d", l)
	scale := b.c.ResidualScale()
	y, s := b.norm(path+"/input_layernorm", name+".input_layernorm.weight", s)
	s.y = b.scaled(path+"/self_attn/residual", b.attention(l, path+"/self_attn", name+".self_attn", y), scale)
	y, s = b.norm(path+"/post_attention_layernorm", name+".post_attention_layernorm.weight", s)
	s.y = b.scaled(path+"/mlp/residual", b.mlp(path+"/mlp", name+".mlp", y), scale)
	return s
}

// attention of layer l on x [B, S, C]:
//
//	x -> q_proj -> rotary -> [B, H, S, D] -----------------------> Attention -> o_proj ->
//	x -> k_proj -> rotary -> [B, K, S, D] -> TensorScatter ----------^ ^
//	                               past_k --^  '-> present_k           |
//	x -> v_proj -----------> [B, K, S, D] -> TensorScatter ------------'
//	                               past_v --^  '-> present_v
func (b *builder) attention(l int, path, name, x string) string {
	if b.grouped() {
		return b.groupedAttention(l, path, name, x)
	}
	c := b.c
	q := b.linear(path+"/q_proj", x, c.QKVBias, name+".q_proj")
	k := b.linear(path+"/k_proj", x, c.QKVBias, name+".k_proj")
	v := b.linear(path+"/v_proj", x, c.QKVBias, name+".v_proj")
	q = b.rotary(path+"/q_rotary", q, c.Heads)
	k = b.rotary(path+"/k_rotary", k, c.KVHeads)
	q = b.split(path+"/q_heads", q, queryShape)
	k = b.split(path+"/k_heads", k, keyShape)
	v = b.split(path+"/v_heads", v, keyShape)
	k = b.cache(path+"/k_cache", k, cacheName(manifest.PastK, l), cacheName(manifest.PresentK, l))
	v = b.cache(path+"/v_cache", v, cacheName(manifest.PastV, l), cacheName(manifest.PresentV, l))
	y := b.node(path, "Attention", in(q, k, v, "", "", "", manifest.NonpadKVLen),
		attrInt("is_causal", 1), attrFloat("scale", attentionScale(c)))
	y = b.node(path+"/merge", "Transpose", in(y), attrInts("perm", 0, 2, 1, 3))
	y = b.node(path+"/merge", "Reshape", in(y, mergeShape)) // [B, S, H*D]
	return b.linear(path+"/o_proj", y, false, name+".o_proj")
}

// mlp is SwiGLU (arXiv 2002.05202): down(silu(gate(x)) * up(x)).
//
//	x -> gate_proj -+-> Sigmoid -> Mul -> Mul -> down_proj ->
//	                +--------------^      ^
//	x -> up_proj -------------------------+
func (b *builder) mlp(path, name, x string) string {
	gate := b.linear(path+"/gate_proj", x, false, name+".gate_proj")
	up := b.linear(path+"/up_proj", x, false, name+".up_proj")
	y := b.node(path+"/silu", "Mul", in(gate, b.node(path+"/silu", "Sigmoid", in(gate))))
	y = b.node(path, "Mul", in(y, up))
	return b.linear(path+"/down_proj", y, false, name+".down_proj")
}

// head answers for the chosen positions of the stream, a pair in both ways:
//
//	x -> RMSNormalization -> Reshape [B*S, C] -> Gather out_rows -> [x logit scale] -> lm_head -> logits
//	                                         '-> Gather rows -> value_head -> Reshape -> values
func (b *builder) head(s stream) {
	x, _ := b.norm("/model/norm", "model.norm.weight", s)
	x = b.node("/model/rows", "Reshape", in(x, rowsShape))
	if b.src.Head == model.LMHead {
		y := b.node("/model/rows", "Gather", in(x, manifest.OutRows), attrInt("axis", 0)) // [R, C]
		y = b.scaled("/lm_head/scale", y, b.c.LogitScale())
		b.answer("/lm_head", b.lmHead(y), manifest.Logits)
	}
	if b.valued() {
		rows := manifest.OutRows
		if b.src.Critic != nil {
			rows = manifest.ValueRows
		}
		y := b.node("/model/rows", "Gather", in(x, rows), attrInt("axis", 0))         // [Q, C]
		y = b.node("/value_head", "Gemm", in(y, b.valueHead()), attrInt("transB", 1)) // [Q, 1]
		b.answer("/value_head", b.node("/value_head", "Reshape", in(y, flatShape)), manifest.Values)
	}
}

// lmHead is [R, C] -> [R, V]. A tied head reads the embedding table, which is
// [V, C] like every linear weight of Hugging Face, so Gemm transposes it.
func (b *builder) lmHead(x string) string {
	name := model.LMHeadName
	if b.c.TieEmbeddings {
		name = model.EmbedName
	}
	if b.quantised() {
		return b.matMulNBits("/lm_head", x, name)
	}
	return b.node("/lm_head", "Gemm", in(x, b.table(name, b.t)), attrInt("transB", 1))
}

// answer makes y the float32 output called name.
func (b *builder) answer(path, y, name string) {
	if b.t == onnx.TensorProto_FLOAT {
		b.rename(y, name)
		return
	}
	b.rename(b.node(path, "Cast", in(y), attrInt("to", int64(onnx.TensorProto_FLOAT))), name)
}

// norm adds what is pending to the stream and returns its RMSNorm over the last
// axis, computed in float32.
func (b *builder) norm(path, name string, s stream) (string, stream) {
	if s.y != "" && b.grouped() {
		normed, sum := b.addNorm(path, name, s)
		return normed, stream{x: sum}
	}
	if s.y != "" {
		s = stream{x: b.node(path+"/residual", "Add", in(s.x, s.y))}
	}
	return b.node(path, "RMSNormalization", in(s.x, b.table(name, b.t)),
		attrInt("axis", -1), attrFloat("epsilon", float32(b.c.NormEps))), s
}

// rotary turns x [B, S, heads*D] by the angles of position_ids; halves of a head
// form the pairs, as in transformers' rotate_half.
func (b *builder) rotary(path, x string, heads int) string {
	return b.node(path, "RotaryEmbedding", in(x, cosTable, sinTable, manifest.PositionIDs), attrInt("num_heads", int64(heads)))
}

// split is [B, S, heads*D] -> [B, heads, S, D].
func (b *builder) split(path, x, shape string) string {
	return b.node(path, "Transpose", in(b.node(path, "Reshape", in(x, shape))), attrInts("perm", 0, 2, 1, 3))
}

// cache writes the new keys or values x into the buffer past and answers the
// whole buffer as present.
func (b *builder) cache(path, x, past, present string) string {
	b.input(past, b.t, "B", b.c.KVHeads, "M", b.c.HeadDim)
	b.output(present, b.t, "B", b.c.KVHeads, "M", b.c.HeadDim)
	y := b.node(path, "TensorScatter", in(past, x, manifest.WriteIndices), attrInt("axis", 2))
	return b.rename(y, present)
}

// scaled multiplies x by a constant of the model. Folding it into a weight would
// round that weight anew, or split a tied table, to save next to nothing.
func (b *builder) scaled(path, x string, by float64) string {
	if by == 1 {
		return x
	}
	return b.node(path, "Mul", in(x, b.scalar(path, by)))
}

// linear is x W^T (+ bias) for a weight [out, in], or for several as one: their
// outputs lie side by side. A critic's adapters join before the bias.
func (b *builder) linear(path, x string, bias bool, names ...string) string {
	var weights, biases []string
	for _, n := range names {
		weights, biases = append(weights, n+".weight"), append(biases, n+".bias")
	}
	var y string
	if b.quantised() {
		y = b.matMulNBits(path, x, weights...)
	} else {
		y = b.node(path, "MatMul", in(x, b.transposed(weights...)))
	}
	y = b.lowRank(path, x, y, names)
	if !bias {
		return y
	}
	return b.node(path, "Add", in(y, b.table(biases[0], b.t, biases[1:]...)))
}

// matMulNBits is the contrib operator com.microsoft.MatMulNBits on blocks of
// quantised weights. Accuracy level 4 quantises the activations to 8 bits too:
// without it the CPU kernel is twenty times slower.
func (b *builder) matMulNBits(path, x string, names ...string) string {
	inputs, out, width := b.blocks(names...)
	return b.contrib(path, "MatMulNBits", append(in(x), inputs...),
		attrInt("K", int64(width)), attrInt("N", int64(out)), attrInt("bits", int64(b.bits(names[0]))),
		attrInt("block_size", int64(quant.Block(width, b.bits(names[0])))), attrInt("accuracy_level", 4))
}

func cacheName(name string, l int) string { return fmt.Sprintf("%s.%d", name, l) }

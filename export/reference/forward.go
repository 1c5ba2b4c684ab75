package reference

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"golang.org/x/sync/errgroup"
)

// matrix is [rows][columns]; here the rows are positions.
type matrix [][]float64

// Model is what is to be computed.
type Model struct {
	Config  *model.Config
	Head    model.Head
	Weights *safetensors.File

	// ValueHead stands for the weight of that name, if it has data.
	ValueHead safetensors.Tensor
	// Change is applied to the linear layers of the backbone.
	Change peft.Change
}

// pass is one forward pass over a sequence of T tokens.
type pass struct {
	ctx      context.Context
	m        Model
	c        *model.Config
	cos, sin matrix                        // [T][D/2]
	observe  func(weight string, x matrix) // shown the input of every linear layer, if set
	hidden   func(x matrix)                // shown the states that Trace returns, in order, if set
	err      error                         // the first one; later steps do nothing
}

// Inputs returns the inputs of every linear weight of the backbone over a
// sequence, [T][columns]. Weights with the same inputs share them.
func Inputs(ctx context.Context, m Model, ids []int64) (map[string][][]float32, error) {
	out := map[string][][]float32{}
	var last matrix
	var narrowed [][]float32
	p := &pass{ctx: ctx, m: m, c: m.Config, observe: func(name string, x matrix) {
		if len(last) == 0 || &last[0] != &x[0] {
			last, narrowed = x, narrow(x)
		}
		out[name] = narrowed
	}}
	p.backbone(ids)
	return out, p.err
}

// Forward runs the model on one sequence and returns [T][V] logits, or [T][1]
// values for a ValueHead.
func Forward(ctx context.Context, m Model, ids []int64) ([][]float32, error) {
	p := &pass{ctx: ctx, m: m, c: m.Config}
	return p.answer(ids), p.err
}

func (p *pass) answer(ids []int64) [][]float32 {
	x := p.backbone(ids)
	switch {
	case p.m.Head == model.ValueHead:
		return narrow(p.linear(model.ValueHeadName, "", x))
	case p.c.TieEmbeddings:
		return narrow(p.linear(model.EmbedName, "", scale(x, p.c.LogitScale())))
	}
	return narrow(p.linear(model.LMHeadName, "", scale(x, p.c.LogitScale())))
}

// Trace is Forward, and returns the hidden states on the way, [P][T][C]: the
// embeddings, the residual stream behind attention and MLP of every layer, and
// what the head reads. See PointName.
func Trace(ctx context.Context, m Model, ids []int64) (answers [][]float32, hidden [][][]float32, err error) {
	p := &pass{ctx: ctx, m: m, c: m.Config, hidden: func(x matrix) { hidden = append(hidden, narrow(x)) }}
	return p.answer(ids), hidden, p.err
}

// PointName says what the i-th of the states is that Trace returns for a model of
// that many layers.
func PointName(i, layers int) string {
	switch l := (i - 1) / 2; {
	case i == 0:
		return "embedding"
	case i > 2*layers:
		return "final norm"
	case i%2 == 1:
		return fmt.Sprintf("layer %d, attention", l)
	default:
		return fmt.Sprintf("layer %d, mlp", l)
	}
}

// backbone returns the normalised hidden states [T][C].
func (p *pass) backbone(ids []int64) matrix {
	for t := range ids {
		var cos, sin []float64
		for _, f := range p.c.InvFreq() {
			cos, sin = append(cos, math.Cos(float64(t)*f)), append(sin, math.Sin(float64(t)*f))
		}
		p.cos, p.sin = append(p.cos, cos), append(p.sin, sin)
	}
	show := func(x matrix) {
		if p.hidden != nil && p.err == nil {
			p.hidden(x)
		}
	}
	x := p.embed(ids)
	show(x)
	for l := range p.c.Layers {
		name := fmt.Sprintf("model.layers.%d.", l)
		p.add(x, p.attention(name+"self_attn.", p.norm(name+"input_layernorm.weight", x)))
		show(x)
		p.add(x, p.mlp(name+"mlp.", p.norm(name+"post_attention_layernorm.weight", x)))
		show(x)
	}
	x = p.norm("model.norm.weight", x)
	show(x)
	return x
}

func (p *pass) embed(ids []int64) matrix {
	x := zeros(len(ids), p.c.Hidden)
	for t, id := range ids {
		row := p.rows(model.EmbedName, int(id), int(id)+1)
		for i := range row {
			x[t][i] = row[i] * p.c.ScaleEmb
		}
	}
	return x
}

// add is x += residual scale * y.
func (p *pass) add(x, y matrix) {
	s := p.c.ResidualScale()
	for t := range y {
		for i := range y[t] {
			x[t][i] += s * y[t][i]
		}
	}
}

// norm is RMSNorm (arXiv 1910.07467): x / sqrt(mean(x^2) + eps) * g.
func (p *pass) norm(name string, x matrix) matrix {
	g := p.rows(name, 0, 1)
	y := zeros(len(x), len(g))
	for t := range y {
		var sum float64
		for _, v := range x[t] {
			sum += v * v
		}
		r := 1 / math.Sqrt(sum/float64(len(g))+p.c.NormEps)
		for i := range g {
			y[t][i] = x[t][i] * r * g[i]
		}
	}
	return y
}

// attention is softmax(q k^T / sqrt(D)) v over the positions up to t, where
// H / K query heads share one head of k and v.
func (p *pass) attention(name string, x matrix) matrix {
	c, d := p.c, p.c.HeadDim
	biasOf := func(proj string) string {
		if c.QKVBias {
			return name + proj + ".bias"
		}
		return ""
	}
	q := p.linear(name+"q_proj.weight", biasOf("q_proj"), x)
	k := p.linear(name+"k_proj.weight", biasOf("k_proj"), x)
	v := p.linear(name+"v_proj.weight", biasOf("v_proj"), x)
	if p.err != nil {
		return nil
	}
	p.rotate(q)
	p.rotate(k)
	y := zeros(len(x), c.Heads*d)
	for t := range y {
		for h := range c.Heads {
			g := h / (c.Heads / c.KVHeads) // the kv head of this query head
			weights := make([]float64, t+1)
			for s := range weights {
				weights[s] = dot(q[t][h*d:(h+1)*d], k[s][g*d:(g+1)*d]) / math.Sqrt(float64(d))
			}
			softmax(weights)
			for s, w := range weights {
				for i := range d {
					y[t][h*d+i] += w * v[s][g*d+i]
				}
			}
		}
	}
	return p.linear(name+"o_proj.weight", "", y)
}

// rotate turns the pair (i, i + D/2) of every head by position * frequency i.
func (p *pass) rotate(x matrix) {
	half := p.c.HeadDim / 2
	for t, row := range x {
		for head := 0; head < len(row); head += 2 * half {
			for i := range half {
				a, b := row[head+i], row[head+half+i]
				row[head+i] = a*p.cos[t][i] - b*p.sin[t][i]
				row[head+half+i] = b*p.cos[t][i] + a*p.sin[t][i]
			}
		}
	}
}

// mlp is down(silu(gate(x)) * up(x)).
func (p *pass) mlp(name string, x matrix) matrix {
	gate, up := p.linear(name+"gate_proj.weight", "", x), p.linear(name+"up_proj.weight", "", x)
	if p.err != nil {
		return nil
	}
	for t := range gate {
		for i, g := range gate[t] {
			gate[t][i] = g / (1 + math.Exp(-g)) * up[t][i]
		}
	}
	return p.linear(name+"down_proj.weight", "", gate)
}

// get returns a weight.
func (p *pass) get(name string) (t safetensors.Tensor, ok bool) {
	if p.err != nil {
		return t, false
	}
	if name == model.ValueHeadName && p.m.ValueHead.Data != nil {
		return p.m.ValueHead, true
	}
	t, p.err = p.m.Weights.Get(name)
	return t, p.err == nil
}

// linear is x W^T + b for W [out, in], and what adapters add; bias "" is none.
func (p *pass) linear(name, bias string, x matrix) matrix {
	w, ok := p.get(name)
	if !ok {
		return nil
	}
	if p.observe != nil {
		p.observe(name, x)
	}
	y := p.times(w, bias, x)
	module := strings.TrimSuffix(name, ".weight")
	for _, part := range p.m.Change.Parts() {
		a, hasA := part.Get(module + peft.A)
		b, hasB := part.Get(module + peft.B)
		if !hasA || !hasB {
			continue
		}
		low := p.times(b, "", p.times(a, "", x))
		for t := range low {
			for i, v := range low[t] {
				y[t][i] += part.Factor * v
			}
		}
	}
	return y
}

// times is x W^T + b. Rows of W are shared out over the processors and read once
// for all positions.
func (p *pass) times(w safetensors.Tensor, bias string, x matrix) matrix {
	if p.err != nil {
		return nil
	}
	out, in := w.Shape[0], w.Shape[1]
	b := make([]float64, out)
	if bias != "" {
		b = p.rows(bias, 0, 1)
	}
	y := zeros(len(x), out)
	group, ctx := errgroup.WithContext(p.ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	const share = 64
	for from := 0; from < out && p.err == nil; from += share {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			to := min(from+share, out)
			rows, err := slice(w, from*in, to*in)
			if err != nil {
				return err
			}
			for o := from; o < to; o++ {
				row := rows[(o-from)*in : (o-from+1)*in]
				for t := range x {
					y[t][o] = dot(x[t], row) + b[o]
				}
			}
			return nil
		})
	}
	if err := group.Wait(); p.err == nil {
		p.err = err
	}
	return y
}

// rows reads rows [from, to) of a matrix; a vector is one row.
func (p *pass) rows(name string, from, to int) []float64 {
	w, ok := p.get(name)
	if !ok {
		return nil
	}
	width := w.Shape[len(w.Shape)-1]
	values, err := slice(w, from*width, to*width)
	p.err = err
	return values
}

// slice reads elements [from, to) of a tensor.
func slice(t safetensors.Tensor, from, to int) ([]float64, error) {
	values, err := t.Slice(from, to)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out, err
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64 // four sums, so that additions need not wait for each other
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func softmax(x []float64) {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

func scale(x matrix, by float64) matrix {
	y := zeros(len(x), len(x[0]))
	for t := range x {
		for i, v := range x[t] {
			y[t][i] = v * by
		}
	}
	return y
}

func zeros(rows, columns int) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}

func narrow(x matrix) [][]float32 {
	y := make([][]float32, len(x))
	for t := range x {
		y[t] = make([]float32, len(x[t]))
		for i, v := range x[t] {
			y[t][i] = float32(v)
		}
	}
	return y
}

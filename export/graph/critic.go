package graph

import (
	"fmt"
	"io"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Critic is a critic on a policy's backbone: a value head, and what is to be
// changed on the way there, if anything. Its rows of a batch go through the
// policy's weights and on through those of the change.
type Critic struct {
	Head   safetensors.Tensor // [1, C]
	Change peft.Change
}

// adapted tells whether the critic's rows differ from the policy's before the head.
func (c *Critic) adapted() bool { return c != nil && c.Change != peft.Change{} }

// valued tells whether the graph answers values.
func (b *builder) valued() bool { return b.src.Head == model.ValueHead || b.src.Critic != nil }

// valueHead stores the weight of the value head.
func (b *builder) valueHead() string {
	if b.src.Critic == nil {
		return b.table(model.ValueHeadName, b.t)
	}
	return b.store(model.ValueHeadName, b.t, stack{b.src.Critic.Head})
}

// lowRank adds what the critic's adapters make of x to the critic's rows of y; a
// pass without such rows computes nothing.
//
//	x -> GatherND critic_rows -> MatMul A -> MatMul B -> ScatterND critic_rows, adding ->
//	y ----------------------------------------------------------^
func (b *builder) lowRank(path, x, y string, names []string) string {
	if !b.src.Critic.adapted() || b.err != nil {
		return y
	}
	var f factors
	if f, b.err = b.factors(names); b.err != nil || f.rank == 0 {
		return y
	}
	path += "/lora"
	u := b.node(path, "MatMul", in(b.criticRows(path, x), b.floats(path+"/A", f.a, f.in, f.rank))) // [G, S, rank]
	u = b.node(path, "MatMul", in(u, b.floats(path+"/B", f.b, f.rank, f.out)))                     // [G, S, out]
	if b.t == onnx.TensorProto_FLOAT {
		return b.node(path, "ScatterND", in(y, manifest.CriticRows, u), attrString("reduction", "add")) // [B, S, out]
	}
	// onnxruntime 1.31 adds on the way in float32 alone, on the CPU.
	u = b.node(path, "Add", in(b.criticRows(path, y), u))
	return b.node(path, "ScatterND", in(y, manifest.CriticRows, u))
}

// criticRows is [B, S, in] -> [G, S, in], made once of each value.
func (b *builder) criticRows(path, x string) string {
	if b.rows[x] == "" {
		b.rows[x] = b.node(path, "GatherND", in(x, manifest.CriticRows))
	}
	return b.rows[x]
}

// factors are the adapters of several matrices that are multiplied as one: side
// by side in A, one below the other in B, which is zero where an adapter and an
// output do not belong together. Scales and signs are in B.
type factors struct {
	in, rank, out int
	a, b          []float32 // [in, rank], [rank, out]
}

func (b *builder) factors(names []string) (factors, error) {
	type block struct {
		a, b      []float32 // [rank, in], [out, rank]
		rank, out int
		first     int // of its outputs
		scale     float32
	}
	var f factors
	var blocks []block
	for _, name := range names {
		w, err := b.src.Weights.Get(name + ".weight")
		if err != nil {
			return f, err
		}
		out := w.Shape[0]
		f.in = w.Shape[1]
		for _, part := range b.src.Critic.Change.Parts() {
			a, hasA := part.Get(name + peft.A)
			c, hasB := part.Get(name + peft.B)
			if !hasA || !hasB {
				continue
			}
			av, err := stack{a}.part(0, a.Len())
			if err != nil {
				return f, err
			}
			bv, err := stack{c}.part(0, c.Len())
			if err != nil {
				return f, err
			}
			blocks = append(blocks, block{av, bv, part.Rank, out, f.out, float32(part.Factor)})
			f.rank += part.Rank
		}
		f.out += out
	}
	f.a, f.b = make([]float32, f.in*f.rank), make([]float32, f.rank*f.out)
	from := 0
	for _, k := range blocks {
		for r := range k.rank {
			for i := range f.in {
				f.a[i*f.rank+from+r] = k.a[r*f.in+i]
			}
			for o := range k.out {
				f.b[(from+r)*f.out+k.first+o] = k.scale * k.b[o*k.rank+r]
			}
		}
		from += k.rank
	}
	return f, nil
}

// floats stores a matrix that was computed.
func (b *builder) floats(name string, values []float32, rows, columns int) string {
	return b.initializer(name, b.t, []int{rows, columns}, func(w io.Writer) error {
		if len(values) != rows*columns {
			return fmt.Errorf("%d values for a matrix of %d by %d", len(values), rows, columns)
		}
		return writeFloats(w, b.t, values)
	})
}

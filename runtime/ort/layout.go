package ort

import (
	"fmt"
	"slices"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// layout is the order in which a session passes values, and the sizes of its cache.
type layout struct {
	plan            []planned
	inputs, outputs []string // the plan's first; the cache's tensors last: k and v of layer 0, of layer 1, …
	answerDims      int      // rank of the answer: [R, V] or [R]
	asks            string   // input with the rows to answer for
	other           []int64  // of a pair: shape of the answer that is not wanted
	otherAt         int      // and its place: logits come before values
	valued          bool     // a policy that may answer values besides: its rows are the critic's, too
	kvElem          int      // ONNX element type of the cache
	kv              kv.Shape
}

// planned is an input that says what a pass computes.
type planned struct {
	name string
	elem int
	rank int
}

// The inputs of the two forms that package graph builds.
var (
	standardPlan = []planned{
		{manifest.InputIDs, elemInt64, 2}, {manifest.PositionIDs, elemInt64, 2}, {manifest.OutRows, elemInt64, 1},
		{manifest.WriteIndices, elemInt64, 1}, {manifest.NonpadKVLen, elemInt64, 1},
	}
	groupedPlan = []planned{
		{manifest.InputIDs, elemInt64, 2}, {manifest.PositionIDs, elemInt64, 2}, {manifest.OutRows, elemInt64, 1},
		{manifest.SeqLensK, elemInt32, 1}, {manifest.TotalLen, elemInt32, 1}, {manifest.AttentionBias, elemFloat32, 4},
	}
)

// What a pair has besides.
var (
	valueRows  = planned{manifest.ValueRows, elemInt64, 1}
	criticRows = planned{manifest.CriticRows, elemInt64, 2}
)

// grouped tells the form in which branches of one prefix can share a row.
func (l *layout) grouped() bool {
	return slices.ContainsFunc(l.plan, func(p planned) bool { return p.name == manifest.SeqLensK })
}

// layoutOf checks that a graph takes and gives what export writes, for a model
// of the given spec. A pair is a critic for a spec of width 1, else a policy.
func layoutOf(g *graph, spec engine.Spec) (*layout, error) {
	in, out := index(g.inputs), index(g.outputs)
	l := &layout{plan: standardPlan, asks: manifest.OutRows}
	if _, ok := in[manifest.SeqLensK]; ok {
		l.plan = groupedPlan
	}
	if _, ok := in[manifest.ValueRows]; ok {
		l.plan = append(slices.Clip(l.plan), valueRows)
	}
	if _, ok := in[manifest.CriticRows]; ok {
		l.plan = append(slices.Clip(l.plan), criticRows)
	}
	for _, want := range l.plan {
		p, ok := in[want.name]
		if !ok {
			return nil, fmt.Errorf("%w: input %q is missing", ErrGraph, want.name)
		}
		if p.elem != want.elem || len(p.dims) != want.rank {
			return nil, fmt.Errorf("%w: input %q has element type %d and %d dimensions, want %d and %d", ErrGraph, p.name, p.elem, len(p.dims), want.elem, want.rank)
		}
		l.inputs = append(l.inputs, p.name)
	}
	if err := l.answer(out, spec); err != nil {
		return nil, err
	}
	for layer := 0; ; layer++ {
		if _, ok := in[cacheName(manifest.PastK, layer)]; !ok {
			break
		}
		for _, pair := range [][2]string{{manifest.PastK, manifest.PresentK}, {manifest.PastV, manifest.PresentV}} {
			if err := l.cache(in, out, cacheName(pair[0], layer), cacheName(pair[1], layer)); err != nil {
				return nil, err
			}
		}
	}
	if l.kv.Tensors == 0 {
		return nil, fmt.Errorf("%w: input %q is missing", ErrGraph, cacheName(manifest.PastK, 0))
	}
	if len(l.inputs) != len(g.inputs) {
		return nil, fmt.Errorf("%w: %d inputs, of which %d are known", ErrGraph, len(g.inputs), len(l.inputs))
	}
	return l, nil
}

// answer finds the outputs that answer, and checks both of a pair.
func (l *layout) answer(out map[string]port, spec engine.Spec) error {
	_, logits := out[manifest.Logits]
	_, values := out[manifest.Values]
	switch both := logits && values; {
	case !logits && !values:
		return fmt.Errorf("%w: neither output %q nor %q", ErrGraph, manifest.Logits, manifest.Values)
	case both != slices.Contains(l.plan, valueRows):
		return fmt.Errorf("%w: outputs %q and %q and input %q go together: something is missing", ErrGraph, manifest.Logits, manifest.Values, manifest.ValueRows)
	case both && spec.Width == 1:
		l.outputs, l.answerDims, l.asks = []string{manifest.Logits, manifest.Values}, 1, manifest.ValueRows
		l.other, l.otherAt = []int64{0, int64(spec.Vocab)}, 0
	case both:
		l.outputs, l.answerDims = []string{manifest.Logits, manifest.Values}, 2
		l.other, l.otherAt = []int64{0}, 1
		l.valued = !slices.Contains(l.plan, criticRows)
	case values:
		l.outputs, l.answerDims = []string{manifest.Values}, 1
	default:
		l.outputs, l.answerDims = []string{manifest.Logits}, 2
	}
	for _, name := range l.outputs {
		p, rank, width, want := out[name], 1, int64(1), int64(spec.Width)
		if name == manifest.Logits {
			rank = 2
		}
		if len(p.dims) == 2 {
			width = p.dims[1]
		}
		if l.other != nil {
			want = map[string]int64{manifest.Logits: int64(spec.Vocab), manifest.Values: 1}[name]
		}
		if p.elem != elemFloat32 || len(p.dims) != rank {
			return fmt.Errorf("%w: output %q has element type %d and %d dimensions, want float32 and %d", ErrGraph, name, p.elem, len(p.dims), rank)
		}
		if width != free && width != want {
			return fmt.Errorf("%w: output %q answers %d numbers a position, want %d", ErrGraph, name, width, want)
		}
	}
	return nil
}

// cache adds one tensor of the key/value cache, [B, K, M, D].
func (l *layout) cache(in, out map[string]port, past, present string) error {
	p, ok := in[past]
	if _, has := out[present]; !ok || !has {
		return fmt.Errorf("%w: input %q or output %q is missing", ErrGraph, past, present)
	}
	if len(p.dims) != 4 || p.dims[1] < 1 || p.dims[3] < 1 || p.dims[1]*p.dims[3] > 1<<24 {
		return fmt.Errorf("%w: input %q has shape %v, want [B, K, M, D] with numbers for K and D", ErrGraph, past, p.dims)
	}
	shape := kv.Shape{Tensors: l.kv.Tensors, Heads: int(p.dims[1]), Dim: int(p.dims[3])}
	switch p.elem {
	case elemFloat32:
		shape.Elem = 4
	case elemFloat16, elemBFloat16:
		shape.Elem = 2
	default:
		return fmt.Errorf("%w: input %q has element type %d, want float32, float16 or bfloat16", ErrGraph, past, p.elem)
	}
	if l.kv.Tensors > 0 && (shape != l.kv || p.elem != l.kvElem) {
		return fmt.Errorf("%w: input %q differs in shape or type from those before it", ErrGraph, past)
	}
	l.kv, l.kvElem = shape, p.elem
	l.kv.Tensors++
	l.inputs = append(l.inputs, past)
	l.outputs = append(l.outputs, present)
	return nil
}

func cacheName(kind string, layer int) string { return fmt.Sprintf("%s.%d", kind, layer) }

func index(ports []port) map[string]port {
	m := make(map[string]port, len(ports))
	for _, p := range ports {
		m[p.name] = p
	}
	return m
}

package ort

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// agrees checks that the graph is the one a manifest describes, so that no size
// which the rest of the program goes by is another in native code.
func (g *graph) agrees(m *manifest.Manifest) error {
	for _, side := range []struct {
		field  string
		listed []manifest.Value
		ports  []port
	}{{"inputs", m.Inputs, g.inputs}, {"outputs", m.Outputs, g.outputs}} {
		if len(side.listed) != len(side.ports) {
			return disagree("%s lists %d values, the graph has %d", side.field, len(side.listed), len(side.ports))
		}
		ports := index(side.ports)
		for _, v := range side.listed {
			p, ok := ports[v.Name]
			if !ok || !p.is(v) {
				return disagree("%s: %s is %s %v, which the graph has not", side.field, v.Name, v.DType, v.Shape)
			}
		}
	}
	d := m.Dims
	cache := manifest.Value{DType: m.KVDType, Shape: []any{"B", float64(d.KVHeads), "M", float64(d.HeadDim)}}
	layers := 0
	for _, p := range g.inputs {
		if strings.HasPrefix(p.name, manifest.PastK+".") || strings.HasPrefix(p.name, manifest.PastV+".") {
			if layers++; !p.is(cache) {
				return disagree("dims.kv_heads %d, dims.head_dim %d and kv_dtype %s are not those of %s", d.KVHeads, d.HeadDim, m.KVDType, p.name)
			}
		}
	}
	if layers != 2*d.Layers {
		return disagree("dims.layers is %d, the graph has %d tensors of keys and values", d.Layers, layers)
	}
	for _, w := range g.weights {
		if err := agreesOn(w, d); err != nil {
			return err
		}
	}
	return nil
}

// agreesOn checks the sizes of the tables that tokens and positions are looked up in.
func agreesOn(w weight, d manifest.Dims) error {
	switch w.name {
	case manifest.CosTable, manifest.SinTable:
		if !slices.Equal(w.dims, []int64{int64(d.MaxPositions), int64(d.HeadDim / 2)}) {
			return disagree("dims.max_positions is %d and dims.head_dim %d, the graph's %s is %v", d.MaxPositions, d.HeadDim, w.name, w.dims)
		}
	case model.EmbedName, model.EmbedName + ".table":
		if !slices.Equal(w.dims, []int64{int64(d.Vocab), int64(d.Hidden)}) {
			return disagree("dims.vocab is %d and dims.hidden %d, the graph's %s is %v", d.Vocab, d.Hidden, w.name, w.dims)
		}
	}
	return nil
}

func disagree(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s: export again", ErrGraph, manifest.Name, fmt.Sprintf(format, args...))
}

// is tells whether a port has the type and shape of v; a letter is a free size.
func (p port) is(v manifest.Value) bool {
	elem := map[string]int{manifest.Float32: elemFloat32, manifest.Float16: elemFloat16, manifest.Int64: elemInt64, manifest.Int32: elemInt32}[v.DType]
	if p.elem != elem || len(p.dims) != len(v.Shape) {
		return false
	}
	for i, d := range v.Shape {
		size := int64(free)
		if n, ok := d.(float64); ok {
			size = int64(n)
		}
		if p.dims[i] != size {
			return false
		}
	}
	return true
}

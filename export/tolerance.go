package export

import (
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// tolerance bounds how far a graph may lie from the float32 model: for fp32 by
// rounding alone, for the rest by what a sound graph of a small model was seen to
// need, with room. A wrong graph misses them by far: its KL is that of another
// model, several nats on average.
func tolerance(p graph.Precision, kind manifest.Kind) manifest.Tolerance {
	if kind == manifest.Critic {
		return map[graph.Precision]manifest.Tolerance{
			graph.FP32: {MaxAbs: 1e-4, MaxRel: 1e-5},
			graph.FP16: {MaxAbs: 0.01, MaxRel: 0.01},
			graph.Int8: {MaxAbs: 0.1, MaxRel: 0.1},
			graph.Int4: {MaxAbs: 0.5, MaxRel: 0.5},
		}[p]
	}
	return map[graph.Precision]manifest.Tolerance{
		graph.FP32: {MaxAbs: 1e-4, MaxRel: 1e-5},
		graph.FP16: {MaxAbs: 0.05, MaxRel: 0.005, MeanKL: 1e-3, MaxKL: 1e-2, MinTop1: 0.9},
		graph.Int8: {MeanKL: 0.05, MaxKL: 0.5, MinTop1: 0.7},
		graph.Int4: {MeanKL: 0.75, MaxKL: 6, MinTop1: 0.4},
	}[p]
}

// hiddenTolerance bounds how far a hidden state may lie from the float32 model's,
// as a share of the largest of its elements.
func hiddenTolerance(p graph.Precision) float64 {
	return map[graph.Precision]float64{graph.FP32: 1e-4, graph.FP16: 0.02, graph.Int8: 0.2, graph.Int4: 1}[p]
}

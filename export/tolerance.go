package export

import (
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// tolerances bound how far a graph may lie from the float32 model.
var tolerances = map[graph.Precision]manifest.Tolerance{
	graph.FP32: {MaxAbs: 1e-4, MaxRel: 1e-5},
	graph.FP16: {MaxAbs: 0.02, MaxRel: 0.01, MaxKL: 0.01, MinTop1: 0.9},
	graph.Int8: {MaxAbs: 0.1, MaxRel: 0.1, MaxKL: 0.1, MinTop1: 0.8},
	graph.Int4: {MaxAbs: 0.5, MaxRel: 0.5, MaxKL: 1, MinTop1: 0.5},
}

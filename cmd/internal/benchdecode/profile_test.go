package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/oreo-go/oreo/export/graph"
)

// Of two passes with two rows and one that reads a prompt the two count, by their
// share of the clock's time.
func TestStepShares(t *testing.T) {
	var events []event
	err := json.Unmarshal([]byte(`[
		{"name": "model_run", "ts": 100, "dur": 40},
		{"name": "/model/layers.0/mlp/up_proj/MatMul_kernel_time", "ts": 101, "dur": 10, "args": {"op_name": "MatMul", "input_type_shape": [{"float": [1, 7, 64]}], "output_type_shape": [{"float": [1, 7, 32]}]}},
		{"name": "model_run", "ts": 200, "dur": 100},
		{"name": "/model/layers.0/mlp/up_proj/MatMul_kernel_time", "ts": 200, "dur": 30, "args": {"op_name": "MatMul", "input_type_shape": [{"float": [1, 2, 64]}], "output_type_shape": [{"float": [1, 2, 32]}]}},
		{"name": "/model/layers.1/mlp/up_proj/MatMul_kernel_time", "ts": 231, "dur": 20, "args": {"op_name": "MatMul", "input_type_shape": [{"float": [1, 2, 64]}], "output_type_shape": [{"float": [1, 2, 32]}]}},
		{"name": "/model/layers.0/mlp/Mul_kernel_time", "ts": 260, "dur": 10, "args": {"op_name": "Mul", "output_type_shape": [{"float": [1, 2, 64]}]}},
		{"name": "model_run", "ts": 400, "dur": 300},
		{"name": "/model/layers.0/mlp/up_proj/MatMul_kernel_time", "ts": 410, "dur": 90, "args": {"op_name": "MatMul", "input_type_shape": [{"float": [2, 1, 64]}], "output_type_shape": [{"float": [2, 1, 32]}]}}
	]`), &events)
	if err != nil {
		t.Fatal(err)
	}
	nodes := step(events, 2, 200) // half of the 400 by the clock
	for name, want := range map[string]float64{"/model/layers.0/mlp/up_proj/MatMul": 60, "/model/layers.1/mlp/up_proj/MatMul": 10, "/model/layers.0/mlp/Mul": 5} {
		if got := nodes[name].Took; math.Abs(got-want) > 1e-9 {
			t.Errorf("%s takes %v, want %v", name, got, want)
		}
	}
	products, all, err := machine{memory: 1e9, floats: 1e9}.show(nodes, graph.FP32, "test")
	if err != nil || math.Abs(products-70e-6) > 1e-12 || math.Abs(all-75e-6) > 1e-12 {
		t.Errorf("products take %v of %v: %v", products, all, err)
	}
	operations, bytes, err := product(nodes["/model/layers.1/mlp/up_proj/MatMul"], "up_proj", graph.FP32)
	if err != nil || operations != 2*2*64*32 || bytes != 4*64*32 {
		t.Errorf("%v operations on %v bytes: %v", operations, bytes, err)
	}
}

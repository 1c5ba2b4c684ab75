package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/oreo-go/oreo/cmd/internal/peer"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/quant"
)

// machine is what one thread can do at most.
type machine struct {
	memory        float64 // bytes read per second
	floats, bytes float64 // operations per second on numbers of that kind
}

// profile prints, for every cell of one precision, where a step's time goes: how
// near each kind of product with weights is to what the machine can do, what share
// all other operators have, and how many times as fast as each peer a step of
// products alone would be.
func (c config) profile(ctx context.Context, env peer.Environment, work, dir string, dtype graph.Precision, m machine) error {
	var peers []player
	for _, name := range c.peers {
		p, err := start(ctx, env, name, c.model, work, dtype, c.threads)
		if err != nil {
			return err
		}
		defer p.Close()
		peers = append(peers, p)
	}
	for _, p := range c.lengths {
		for _, b := range c.rows {
			nodes, scores, err := c.trace(dir, p, b, peers)
			if err != nil {
				return err
			}
			products, all, err := m.show(nodes, dtype, fmt.Sprintf("%s P %d B %d", dtype, p, b))
			if err != nil {
				return err
			}
			for _, s := range scores {
				step := float64(b) / s.decode
				fmt.Printf("    %s takes %.1f ms a step: %.2f times all operators, %.2f times the products alone\n", s.name, 1e3*step, step/all, step/products)
			}
		}
	}
	return nil
}

// event is one of onnxruntime's trace; times are in microseconds.
type event struct {
	Name    string
	Start   float64 `json:"ts"`
	Took    float64 `json:"dur"`
	Details struct {
		Operator string             `json:"op_name"`
		Inputs   []map[string][]int `json:"input_type_shape"` // of weights those that are kept as they came
		Outputs  []map[string][]int `json:"output_type_shape"`
	} `json:"args"`
}

// trace runs a task in a session of its own and in turns with the peers. It returns
// the nodes of a decoding step by name, and the peers' scores.
func (c config) trace(dir string, p, b int, peers []player) (nodes map[string]event, scores []score, err error) {
	to, err := os.MkdirTemp("", "bench-decode")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	o, err := openOurs(dir, c.threads, filepath.Join(to, "trace"))
	if err != nil {
		return nil, nil, err
	}
	all, err := play(append([]player{o}, peers...), o.task(p, b, c.steps), c.repeats)
	o.close() // writes the trace
	if err != nil {
		return nil, nil, err
	}
	files, err := filepath.Glob(filepath.Join(to, "trace*.json"))
	if err != nil || len(files) != 1 {
		return nil, nil, fmt.Errorf("onnxruntime left %d traces, want 1", len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, nil, err
	}
	var events []event
	if err := json.Unmarshal(text, &events); err != nil {
		return nil, nil, err
	}
	cpu := 1e6 * float64(b) / all.scores[0].decode // of a step
	return step(events, b, cpu), all.scores[1:], nil
}

// step are the nodes of passes that took one token of each of b rows, with what each
// takes of a step's CPU time, in microseconds. The trace goes by the clock, which runs
// on while another program has the processor: it gives the shares alone.
func step(events []event, b int, cpu float64) map[string]event {
	var runs []event
	for _, e := range events {
		if e.Name == "model_run" {
			runs = append(runs, e)
		}
	}
	slices.SortFunc(runs, func(x, y event) int { return cmp.Compare(x.Start, y.Start) })
	inside := make([][]event, len(runs)) // nodes by run
	other := make([]bool, len(runs))     // those of other rows
	for _, e := range events {
		name, ok := strings.CutSuffix(e.Name, "_kernel_time")
		after, same := slices.BinarySearchFunc(runs, e.Start, func(r event, at float64) int { return cmp.Compare(r.Start, at) })
		if !same {
			after--
		}
		if !ok || after < 0 {
			continue
		}
		e.Name = name
		inside[after] = append(inside[after], e)
		_, rows, _ := sizes(e.Details.Inputs)
		other[after] = other[after] || e.isProduct() && rows != b
	}
	nodes := map[string]event{}
	whole := 0.0
	for i, r := range runs {
		if other[i] {
			continue
		}
		whole += r.Took
		for _, e := range inside[i] {
			e.Took += nodes[e.Name].Took
			nodes[e.Name] = e
		}
	}
	for name, e := range nodes {
		e.Took *= cpu / whole
		nodes[name] = e
	}
	return nodes
}

// isProduct tells whether a node multiplies by weights.
func (e event) isProduct() bool {
	return slices.Contains([]string{"Product", "MatMul", "Gemm", "MatMulNBits"}, e.Details.Operator)
}

// kind is all nodes of one sort.
type kind struct {
	name               string
	took               float64 // seconds
	operations, weight float64 // of products: multiplications and additions, bytes
}

// show prints the kinds and returns the seconds of products and of all operators.
func (m machine) show(nodes map[string]event, dtype graph.Precision, title string) (products, all float64, err error) {
	peak := m.floats
	if dtype == graph.Int8 || dtype == graph.Int4 {
		peak = m.bytes
	}
	kinds := map[string]*kind{}
	least := 0.0 // seconds that the machine needs for the products
	for name, e := range nodes {
		k := kind{name: e.Details.Operator, took: e.Took / 1e6}
		if e.isProduct() {
			k.name = path.Base(path.Dir(name)) // gate_proj of /model/layers.0/mlp/gate_proj/MatMul
			if k.operations, k.weight, err = product(e, k.name, dtype); err != nil {
				return 0, 0, fmt.Errorf("%s: %w", name, err)
			}
			products += k.took
			least += max(k.operations/peak, k.weight/m.memory)
		}
		all += k.took
		if sum := kinds[k.name]; sum != nil {
			sum.took, sum.operations, sum.weight = sum.took+k.took, sum.operations+k.operations, sum.weight+k.weight
		} else {
			kinds[k.name] = &k
		}
	}
	fmt.Printf("%s: operators take %.1f ms a step, products with weights %.1f of it, for which the machine needs %s\n", title, 1e3*all, 1e3*products, share(least, products))
	order := slices.SortedFunc(maps.Values(kinds), func(a, b *kind) int { return cmp.Compare(b.took, a.took) })
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tof step\tGop/s\tof peak\tGB/s\tof peak\t")
	for _, k := range order[:min(10, len(order))] {
		fmt.Fprintf(t, "%s\t%.0f %%\t", k.name, 100*k.took/all)
		if k.operations > 0 {
			fmt.Fprintf(t, "%.0f\t%s\t%.1f\t%s\t", k.operations/k.took/1e9, share(k.operations/k.took, peak), k.weight/k.took/1e9, share(k.weight/k.took, m.memory))
		}
		fmt.Fprintln(t)
	}
	return products, all, t.Flush()
}

func share(x, of float64) string {
	if of == 0 || math.IsInf(x, 1) {
		return "?"
	}
	return fmt.Sprintf("%.0f %%", 100*x/of)
}

// product is the work of a product: x [..., K] by weights [N, K].
func product(e event, name string, dtype graph.Precision) (operations, bytes float64, err error) {
	width, rows, known := sizes(e.Details.Inputs)
	height, _, also := sizes(e.Details.Outputs)
	if !known || !also {
		return 0, 0, errors.New("the trace does not tell its shapes")
	}
	perRow := 4 * width
	if bits := map[graph.Precision]int{graph.Int8: 8, graph.Int4: 4}[dtype]; bits > 0 {
		if name == "lm_head" {
			bits = 8
		}
		perRow = quant.CodeBytes(width, bits) + 4*quant.Blocks(width, bits) + quant.ZeroBytes(width, bits)
	}
	return 2 * float64(rows) * float64(width) * float64(height), float64(perRow) * float64(height), nil
}

// sizes are the last dimension of the first value and the product of the others.
func sizes(values []map[string][]int) (last, rows int, known bool) {
	if len(values) == 0 {
		return 0, 0, false
	}
	for _, dims := range values[0] { // one, by its type
		if len(dims) == 0 {
			break
		}
		rows = 1
		for _, d := range dims[:len(dims)-1] {
			rows *= d
		}
		return dims[len(dims)-1], rows, true
	}
	return 0, 0, false
}

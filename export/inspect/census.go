package inspect

import (
	"fmt"
	"os"
	"slices"

	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/traverse"
)

// census is what a graph holds, as onnx-go reads it. Every value of the ONNX
// graph is a node here; edges lead from a result to what it was made of.
type census struct {
	*simple.WeightedDirectedGraph
	ops     []operation
	inputs  []string
	outputs []string
	dead    []string // results of operators that no output depends on
}

type operation struct {
	name       string
	results    []*value // named ones
	attributes map[string]any
}

// value is a node without data: onnx-go would read tensors into nodes that can
// carry them, and knows neither external data nor float16.
type value struct {
	id   int64
	name string
}

func (v *value) ID() int64            { return v.id }
func (v *value) SetName(n string)     { v.name = n }
func (v *value) GetName() string      { return v.name }
func (c *census) NewNode() graph.Node { return &value{id: c.WeightedDirectedGraph.NewNode().ID()} }

// SetWeightedEdge drops the edges of optional inputs that are absent: onnx-go
// makes one value of them all, whose name is empty.
func (c *census) SetWeightedEdge(e graph.WeightedEdge) {
	if e.To().(*value).name != "" && e.From().ID() != e.To().ID() {
		c.WeightedDirectedGraph.SetWeightedEdge(e)
	}
}

// ApplyOperation implements onnx.Backend.
func (c *census) ApplyOperation(o onnx.Operation, results ...graph.Node) error {
	op := operation{name: o.Name, attributes: o.Attributes}
	for _, r := range results {
		if v := r.(*value); v.name != "" { // an optional output that is absent has no name
			op.results = append(op.results, v)
		}
	}
	if len(op.results) == 0 {
		return fmt.Errorf("%s has no result", o.Name)
	}
	c.ops = append(c.ops, op)
	return nil
}

// take reads the graph at path. onnx-go is a reader of 2020 that panics on files
// it does not expect; that is reported like any other fault of the file.
func take(path string) (c *census, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: onnx-go cannot read it: %v", path, p)
		}
	}()
	c = &census{WeightedDirectedGraph: simple.NewWeightedDirectedGraph(0, -1)}
	m := onnx.NewModel(c)
	if err := m.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("%s: onnx-go cannot read it: %w", path, err)
	}
	var reached traverse.BreadthFirst
	for _, id := range m.Output {
		c.outputs = append(c.outputs, c.Node(id).(*value).name)
		reached.Walk(c, c.Node(id), nil)
	}
	for _, id := range m.Input {
		c.inputs = append(c.inputs, c.Node(id).(*value).name)
	}
	for _, o := range c.ops {
		if !slices.ContainsFunc(o.results, func(v *value) bool { return reached.Visited(v) }) {
			c.dead = append(c.dead, o.results[0].name)
		}
	}
	return c, nil
}

// counts is how often each operator occurs.
func (c *census) counts() map[string]int {
	n := map[string]int{}
	for _, o := range c.ops {
		n[o.name]++
	}
	return n
}

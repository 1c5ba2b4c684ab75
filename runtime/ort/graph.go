package ort

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oreo-go/oreo/runtime/bounded"
)

// ONNX element types (onnx.proto3, TensorProto.DataType).
const (
	elemFloat32  = 1
	elemUint8    = 2
	elemInt32    = 6
	elemInt64    = 7
	elemFloat16  = 10
	elemBFloat16 = 16
)

// free is a dimension without a number.
const free = -1

// port is an input or output of a graph.
type port struct {
	name string
	elem int
	dims []int64
}

// graph is what this package reads of an ONNX file by itself, before native code
// sees it: the ports, the weights' sizes and places, and the operators.
type graph struct {
	file            []byte // the ONNX file
	inputs, outputs []port
	nodes           []node
	weights         []weight
}

// node is an operator.
type node struct {
	name, op, domain string
	inputs, outputs  []string
	attributes       map[string]int64 // 0 for those that are no whole numbers
	holds            bool             // one of them is a graph or a tensor
}

// weight is an initializer.
type weight struct {
	name   string
	elem   int
	dims   []int64
	inline int  // bytes in the file itself, where nothing is external
	other  bool // it is stored in a way that export does not use
	external
	outside bool // the entries of external are there
	marked  bool // it is said to be outside
}

// external is a place in a file beside the graph's.
type external struct {
	location       string
	offset, length int64
}

// maxGraph bounds the ONNX file itself: weights lie outside, and the graph of a
// large model takes a few megabytes.
const maxGraph = 256 << 20

// maxRank is more than any weight has.
const maxRank = 8

// known are the operators that export writes, by domain. Others could ask native
// code for any amount of memory or time.
var known = map[string][]string{
	"": {"Add", "Attention", "Cast", "Concat", "Gather", "GatherND", "Gemm", "MatMul", "Mul", "RMSNormalization", "Reshape", "RotaryEmbedding",
		"ScatterND", "Sigmoid", "TensorScatter", "Transpose"},
	"com.microsoft": {"GatherBlockQuantized", "GroupQueryAttention", "MatMulNBits", "SkipSimplifiedLayerNormalization"},
}

// readGraph parses the file at path and checks that its weights are where it says.
func readGraph(path string) (*graph, error) {
	data, err := bounded.ReadFile(path, maxGraph)
	if err != nil {
		return nil, err
	}
	g := &graph{file: data}
	if err := g.model(data); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrGraph, err)
	}
	for _, w := range g.weights {
		if err := w.check(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("%s: tensor %q: %w", path, w.name, err)
		}
	}
	return g, nil
}

// check compares the bytes that a weight has with those that its shape asks for.
func (w weight) check(dir string) error {
	size, ok := map[int]int64{elemFloat32: 4, elemUint8: 1, elemInt32: 4, elemInt64: 8, elemFloat16: 2, elemBFloat16: 2}[w.elem]
	if !ok || w.other || w.outside != w.marked || len(w.dims) > maxRank {
		return fmt.Errorf("%w: it has element type %d or a form that oreo-export does not write", ErrGraph, w.elem)
	}
	for _, d := range w.dims {
		if d < 0 || d > 0 && size > math.MaxInt64/d {
			return fmt.Errorf("%w: shape %v", ErrGraph, w.dims)
		}
		size *= d
	}
	if !w.outside {
		if int64(w.inline) != size {
			return fmt.Errorf("%w: %d bytes for shape %v, want %d", ErrGraph, w.inline, w.dims, size)
		}
		return nil
	}
	if !filepath.IsLocal(w.location) || filepath.Base(w.location) != w.location {
		return fmt.Errorf("external data in %q, want a file in the same folder", w.location)
	}
	info, err := os.Stat(filepath.Join(dir, w.location))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("external data in %s, which is not a regular file", w.location)
	}
	if w.length != size {
		return fmt.Errorf("%w: length %d for shape %v, want %d", ErrGraph, w.length, w.dims, size)
	}
	if w.offset < 0 || w.offset > info.Size() || w.length > info.Size()-w.offset {
		return fmt.Errorf("bytes %d to %d of %s, which has %d: the file was cut", w.offset, w.offset+w.length, w.location, info.Size())
	}
	return nil
}

// Field numbers are those of onnx.proto3.

func (g *graph) model(b []byte) error {
	found := false
	err := fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 7:
			found = true
			return g.graph(v)
		case 20, 25:
			return errors.New("it has functions or a training graph")
		}
		return nil
	})
	if err == nil && !found {
		return errors.New("no graph in it")
	}
	return err
}

func (g *graph) graph(b []byte) error {
	return fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			n, err := readNode(v)
			if err == nil {
				err = n.check()
			}
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			w, err := readWeight(v)
			g.weights = append(g.weights, w)
			return err
		case 11, 12:
			p, err := readPort(v)
			if num == 11 {
				g.inputs = append(g.inputs, p)
			} else {
				g.outputs = append(g.outputs, p)
			}
			return err
		case 15:
			return errors.New("it has sparse weights")
		}
		return nil
	})
}

func readNode(b []byte) (n node, err error) {
	n.attributes = map[string]int64{}
	err = fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			n.inputs = append(n.inputs, string(v))
		case 2:
			n.outputs = append(n.outputs, string(v))
		case 3:
			n.name = string(v)
		case 4:
			n.op = string(v)
		case 5:
			return n.attribute(v)
		case 7:
			n.domain = string(v)
		}
		return nil
	})
	return n, err
}

func (n *node) attribute(b []byte) error {
	var name string
	var value int64
	err := fields(b, func(num protowire.Number, v []byte, i uint64) error {
		switch num {
		case 1:
			name = string(v)
		case 3:
			value = int64(i)
		case 5, 6, 10, 11, 22, 23:
			n.holds = true
		}
		return nil
	})
	n.attributes[name] = value
	return err
}

// check checks that an operator is a known one and has no graph or tensor in it.
func (n node) check() error {
	switch {
	case !slices.Contains(known[n.domain], n.op):
		return fmt.Errorf("node %q: operator %q of domain %q is not one that oreo-export writes", n.name, n.op, n.domain)
	case n.holds:
		return fmt.Errorf("node %q: an attribute holds a graph or a tensor", n.name)
	}
	return nil
}

func readWeight(b []byte) (w weight, err error) {
	err = fields(b, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			if v == nil {
				w.dims = append(w.dims, int64(n))
				return nil
			}
			for len(v) > 0 { // packed
				d, size := protowire.ConsumeVarint(v)
				if size < 0 {
					return protowire.ParseError(size)
				}
				w.dims, v = append(w.dims, int64(d)), v[size:]
			}
		case 2:
			w.elem = int(n)
		case 8:
			w.name = string(v)
		case 9:
			w.inline = len(v)
		case 13:
			w.outside = true
			return w.entry(v)
		case 14:
			w.marked = n == 1
		case 3, 4, 5, 6, 7, 10, 11:
			w.other = true
		}
		return nil
	})
	return w, err
}

func (x *external) entry(b []byte) error {
	var key, value string
	err := fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			key = string(v)
		case 2:
			value = string(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case key == "location" && x.location == "":
		x.location = value
	case key == "offset" && x.offset == 0:
		x.offset, err = strconv.ParseInt(value, 10, 64)
	case key == "length" && x.length == 0:
		x.length, err = strconv.ParseInt(value, 10, 64)
	default:
		err = fmt.Errorf("external data with a second or unknown entry %q", key)
	}
	return err
}

func readPort(b []byte) (p port, err error) {
	err = fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 1:
			p.name = string(v)
		case 2: // TypeProto
			return fields(v, func(num protowire.Number, v []byte, _ uint64) error {
				if num == 1 {
					return p.tensorType(v)
				}
				return nil
			})
		}
		return nil
	})
	return p, err
}

func (p *port) tensorType(b []byte) error {
	return fields(b, func(num protowire.Number, v []byte, n uint64) error {
		switch num {
		case 1:
			p.elem = int(n)
		case 2: // TensorShapeProto
			return fields(v, func(_ protowire.Number, v []byte, _ uint64) error {
				dim := int64(free)
				err := fields(v, func(num protowire.Number, _ []byte, n uint64) error {
					if num == 1 {
						dim = int64(n)
					}
					return nil
				})
				p.dims = append(p.dims, dim)
				return err
			})
		}
		return nil
	})
}

// fields visits the fields of a protobuf message: v for those with a length,
// n for varints.
func fields(b []byte, visit func(num protowire.Number, v []byte, n uint64) error) error {
	for len(b) > 0 {
		num, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		var v []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		default:
			size = protowire.ConsumeFieldValue(num, kind, b)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		if err := visit(num, v, n); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// mapFields is message b with its fields that have a length replaced, or left out
// where keep is false. b must be sound: fields has visited it.
func mapFields(b []byte, f func(num protowire.Number, v []byte) (_ []byte, keep bool)) []byte {
	var out []byte
	for len(b) > 0 {
		num, kind, tag := protowire.ConsumeTag(b)
		size := tag + protowire.ConsumeFieldValue(num, kind, b[tag:])
		if kind != protowire.BytesType {
			out = append(out, b[:size]...)
		} else {
			v, _ := protowire.ConsumeBytes(b[tag:])
			if v, keep := f(num, v); keep {
				out = appendBytes(out, num, v)
			}
		}
		b = b[size:]
	}
	return out
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

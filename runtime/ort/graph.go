package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// ONNX element types (onnx.proto3, TensorProto.DataType).
const (
	elemFloat32  = 1
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
// sees it: the ports, and where tensors stored outside the file should lie.
type graph struct {
	inputs, outputs []port
	external        []external
}

type external struct {
	tensor, location string
	offset, length   int64 // length 0: to the end
}

// maxGraph bounds the ONNX file itself, protobuf's own limit.
const maxGraph = 1<<31 - 1

// readGraph parses the file at path and checks that tensors stored outside lie
// in files beside it.
func readGraph(path string) (*graph, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxGraph {
		return nil, fmt.Errorf("%s: %w: %d bytes, an ONNX file has at most 2 GiB", path, ErrGraph, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &graph{}
	if err := g.model(data); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrGraph, err)
	}
	for _, x := range g.external {
		if err := x.check(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("%s: tensor %q: %w", path, x.tensor, err)
		}
	}
	return g, nil
}

func (x external) check(dir string) error {
	if !filepath.IsLocal(x.location) || filepath.Base(x.location) != x.location {
		return fmt.Errorf("external data in %q, want a file in the same folder", x.location)
	}
	info, err := os.Stat(filepath.Join(dir, x.location))
	if err != nil {
		return err
	}
	if x.offset < 0 || x.length < 0 || x.offset > info.Size() || x.length > info.Size()-x.offset {
		return fmt.Errorf("bytes %d to %d of %s, which has %d: the file was cut", x.offset, x.offset+x.length, x.location, info.Size())
	}
	return nil
}

// Field numbers are those of onnx.proto3.

func (g *graph) model(b []byte) error {
	found := false
	err := fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		if num == 7 {
			found = true
			return g.graph(v)
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
		case 5:
			return g.initializer(v)
		case 11, 12:
			p, err := readPort(v)
			if num == 11 {
				g.inputs = append(g.inputs, p)
			} else {
				g.outputs = append(g.outputs, p)
			}
			return err
		}
		return nil
	})
}

func (g *graph) initializer(b []byte) error {
	var x external
	outside := false
	err := fields(b, func(num protowire.Number, v []byte, _ uint64) error {
		switch num {
		case 8:
			x.tensor = string(v)
		case 13:
			outside = true
			return x.entry(v)
		}
		return nil
	})
	if outside {
		g.external = append(g.external, x)
	}
	return err
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
	switch key {
	case "location":
		x.location = value
	case "offset":
		x.offset, err = strconv.ParseInt(value, 10, 64)
	case "length":
		x.length, err = strconv.ParseInt(value, 10, 64)
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

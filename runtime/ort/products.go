//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oreo-go/oreo/runtime/product"
)

// products are the products with weights of a graph that package product computes in
// onnxruntime's place, faster; and the graph with an operator of ours instead of them.
// The file that was exported has standard operators alone: any onnxruntime runs it.
type products struct {
	file    []byte // the ONNX file, rewritten
	weights []*product.Weights
	mem     []byte
	*operators
}

// takeProducts finds the products that this machine has a kernel for; nil if there
// are none. The weights are not read yet.
func takeProducts(g *graph) (p *products, sources []source) {
	p = &products{}
	byName := map[string]weight{}
	for _, w := range g.weights {
		byName[w.name] = w
	}
	taken := map[string]int{} // products, by the weights' names
	replaced := map[int]int{} // products, by node
	stays := map[string]bool{}
	for i, n := range g.nodes {
		s, ok := sourceOf(n, byName)
		key := strings.Join(append([]string{n.op}, s.names...), "\n")
		if ok {
			if _, known := taken[key]; !known {
				if w := product.New(s.shape); w != nil {
					taken[key] = len(p.weights)
					p.weights, sources = append(p.weights, w), append(sources, s)
				}
			}
		}
		if at, known := taken[key]; ok && known {
			replaced[i] = at
			continue
		}
		for _, name := range n.inputs {
			stays[name] = true
		}
	}
	if len(p.weights) == 0 {
		return nil, nil
	}
	gone := func(name string) bool {
		return !stays[name] && slices.ContainsFunc(sources, func(s source) bool { return slices.Contains(s.names, name) })
	}
	p.file = g.rewrite(replaced, gone)
	return p, sources
}

// source is where the weights of a product are.
type source struct {
	shape  product.Shape
	turned bool // they are W^T, as MatMul wants it
	names  []string
	parts  []external // W, or codes, scales and zeros
}

// narrow is the fewest columns that are worth a panel.
const narrow = 16

// sourceOf tells whether n is a product with weights of the forms that export writes.
func sourceOf(n node, weights map[string]weight) (s source, ok bool) {
	a := n.attributes
	elems := []int{elemFloat32}
	switch {
	case n.op == "MatMul" && len(a) == 0, n.op == "Gemm" && len(a) == 1 && a["transB"] == 1:
		s.shape.Bits, s.turned = 32, n.op == "MatMul"
	case n.op == "MatMulNBits" && len(a) == 5 && a["accuracy_level"] == 4:
		s.shape = product.Shape{Bits: int(a["bits"]), Block: int(a["block_size"])}
		elems = []int{elemUint8, elemFloat32, elemUint8}
	default:
		return s, false
	}
	if len(n.inputs) != 1+len(elems) || len(n.outputs) != 1 {
		return s, false
	}
	s.names = n.inputs[1:]
	var found []weight
	for i, name := range s.names {
		w, known := weights[name]
		if !known || !w.outside || w.elem != elems[i] {
			return s, false
		}
		found = append(found, w)
		s.parts = append(s.parts, w.external)
	}
	if s.shape.Bits == 32 {
		dims := found[0].dims
		if len(dims) != 2 {
			return s, false
		}
		s.shape.N, s.shape.K = int(dims[0]), int(dims[1])
		if s.turned {
			s.shape.N, s.shape.K = s.shape.K, s.shape.N
		}
		return s, s.shape.N >= narrow
	}
	rows, columns, block := a["N"], a["K"], a["block_size"]
	if block < 1 || rows < narrow || columns < 1 || columns%block != 0 {
		return s, false
	}
	s.shape.N, s.shape.K = int(rows), int(columns)
	// weight.check has seen that the lengths are those of the shapes, in range of their
	// files; so these are too.
	for i, size := range s.rowBytes() {
		if int64(size) > s.parts[i].length || s.parts[i].length/int64(size) != rows || s.parts[i].length%int64(size) != 0 {
			return s, false
		}
	}
	return s, true
}

// rowBytes is the size of a row of W in each part.
func (s source) rowBytes() []int {
	if s.shape.Bits == 32 {
		return []int{4 * s.shape.K}
	}
	blocks := s.shape.K / s.shape.Block
	return []int{s.shape.K * s.shape.Bits / 8, 4 * blocks, (blocks*s.shape.Bits + 7) / 8}
}

// rewrite is the graph's file with the nodes replaced by products, and without the
// weights that are gone. It was parsed before: its fields are sound.
func (g *graph) rewrite(replaced map[int]int, gone func(weight string) bool) []byte {
	node, weight := -1, -1
	file := mapFields(g.file, func(num protowire.Number, v []byte) ([]byte, bool) {
		if num != 7 { // not the graph
			return v, true
		}
		return mapFields(v, func(num protowire.Number, v []byte) ([]byte, bool) {
			switch num {
			case 1:
				node++
				if at, ok := replaced[node]; ok {
					return g.nodes[node].asProduct(at), true
				}
			case 5:
				weight++
				return v, !gone(g.weights[weight].name)
			}
			return v, true
		}), true
	})
	opset := appendBytes(nil, 1, []byte("oreo"))
	opset = protowire.AppendVarint(protowire.AppendTag(opset, 2, protowire.VarintType), 1)
	return appendBytes(file, 8, opset)
}

// asProduct is the message of a node that computes product number at in n's place.
func (n node) asProduct(at int) []byte {
	var attribute []byte
	attribute = appendBytes(attribute, 1, []byte("weights"))
	attribute = protowire.AppendVarint(protowire.AppendTag(attribute, 3, protowire.VarintType), uint64(at))
	attribute = protowire.AppendVarint(protowire.AppendTag(attribute, 20, protowire.VarintType), 2) // an INT
	var b []byte
	b = appendBytes(b, 1, []byte(n.inputs[0]))
	b = appendBytes(b, 2, []byte(n.outputs[0]))
	b = appendBytes(b, 3, []byte(n.name))
	b = appendBytes(b, 4, []byte("Product"))
	b = appendBytes(b, 5, attribute)
	return appendBytes(b, 7, []byte("oreo"))
}

// load reads the weights from the files in dir and lays them out, on all processors.
func (p *products) load(dir string, sources []source) (err error) {
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	total := 0
	for i, w := range p.weights {
		for _, part := range sources[i].parts {
			if files[part.location] == nil {
				f, err := os.Open(filepath.Join(dir, part.location))
				if err != nil {
					return err
				}
				files[part.location] = f
			}
		}
		total += aligned(w.Bytes())
	}
	if p.mem, err = hugeMemory(total); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	mem := p.mem
	for i, w := range p.weights {
		w.Lay(mem)
		mem = mem[aligned(w.Bytes()):]
		sources[i].load(files, w, &group)
	}
	return group.Wait()
}

func aligned(bytes int) int { return (bytes + product.Align - 1) &^ (product.Align - 1) }

// atOnce is how many weights are read at a time.
const atOnce = 1 << 20

// load adds the reading of w, piece by piece, to a group.
func (s source) load(files map[string]*os.File, w *product.Weights, group *errgroup.Group) {
	lines, sizes := s.shape.N, s.rowBytes()
	if s.turned {
		lines, sizes = s.shape.K, []int{4 * s.shape.N}
	}
	each := max(1, atOnce*lines/(s.shape.N*s.shape.K))
	for from := 0; from < lines; from += each {
		n := min(each, lines-from)
		group.Go(func() error {
			parts := make([][]byte, len(sizes))
			for i, size := range sizes {
				var err error
				if parts[i], err = s.parts[i].read(files, from*size, n*size); err != nil {
					return fmt.Errorf("tensor %q: %w", s.names[i], err)
				}
			}
			switch {
			case s.shape.Bits != 32:
				w.SetCodes(from, parts[0], as[float32](parts[1]), parts[2])
			case s.turned:
				w.SetColumns(from, as[float32](parts[0]))
			default:
				w.SetRows(from, as[float32](parts[0]))
			}
			return nil
		})
	}
}

// read reads n bytes of a tensor from one on, aligned for float32.
func (x external) read(files map[string]*os.File, from, n int) ([]byte, error) {
	floats := make([]float32, (n+3)/4)
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(floats))), n)
	_, err := files[x.location].ReadAt(b, x.offset+int64(from))
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s was cut while it was read", x.location)
	}
	return b, err
}

// free must come after the session that uses the products.
func (p *products) free() {
	if p == nil {
		return
	}
	if p.operators != nil {
		p.operators.free()
	}
	for _, w := range p.weights {
		w.Free()
	}
	if p.mem != nil {
		_ = unix.Munmap(p.mem) // it was mapped by hugeMemory
	}
}

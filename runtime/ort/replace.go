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

	"github.com/oreo-go/oreo/runtime/kernel"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// ours is what package kernel computes of a graph in onnxruntime's place, faster, and
// the graph with operators of ours there. The file that was exported has none of them:
// any onnxruntime runs it.
type ours struct {
	file      []byte // the ONNX file, rewritten
	weights   []*kernel.Weights
	sources   []source // of the weights, which are not read yet
	mem       []byte
	attention unsafe.Pointer // its kernel; nil if it is not ours
	*operators
}

// replace finds the nodes of g that this machine has kernels for, attention over heads
// of dim numbers among them; nil if there are none.
func replace(g *graph, dim int) *ours {
	o := &ours{}
	if g.attends() {
		o.attention = kernel.Attention(dim)
	}
	byName := map[string]weight{}
	for _, w := range g.weights {
		byName[w.name] = w
	}
	numbers := map[string]int{}     // of products, by what they are made of
	replaced := map[int]operation{} // by node
	stays := map[string]bool{}
	for i, n := range g.nodes {
		inputs := n.inputs
		if o.attention != nil && n.op == attentionOp {
			replaced[i] = attentionOf(n)
		} else if number, ok := o.product(n, byName, numbers); ok {
			replaced[i] = productOf(n, number)
		}
		if r, ok := replaced[i]; ok {
			inputs = r.inputs
		}
		for _, name := range inputs {
			stays[name] = true
		}
	}
	if len(replaced) == 0 {
		return nil
	}
	o.file = g.rewrite(replaced, stays)
	return o
}

// product is the number of the product that n is, a new one if there was none of the
// same weights; false if it is none that there is a kernel for.
func (o *ours) product(n node, weights map[string]weight, numbers map[string]int) (number int, ok bool) {
	s, ok := sourceOf(n, weights)
	if !ok {
		return 0, false
	}
	key := strings.Join(append([]string{n.op}, s.names...), "\n")
	if number, ok = numbers[key]; ok {
		return number, true
	}
	w := kernel.New(s.shape)
	if w == nil {
		return 0, false
	}
	number = len(o.weights)
	numbers[key] = number
	o.weights, o.sources = append(o.weights, w), append(o.sources, s)
	return number, true
}

// operation is a node of ours.
type operation struct {
	op     string
	inputs []string
	adds   []byte // an attribute that the node has besides those it replaces; nil for none
}

const attentionOp = "GroupQueryAttention"

// attends tells whether the graph has attention, and all of it in the form that export
// writes: what it reads of lengths is a plan if it is ours.
func (g *graph) attends() bool {
	some := false
	for _, n := range g.nodes {
		in, a := n.inputs, n.attributes
		switch {
		case n.op == attentionOp:
			if len(in) != 11 || in[1] != "" || in[2] != "" || in[5] != manifest.SeqLensK || in[9] != manifest.PositionIDs || len(n.outputs) != 3 ||
				len(a) != 4 || a["num_heads"] < 1 || a["kv_num_heads"] < 1 || a["do_rotary"] != 1 {
				return false
			}
			some = true
		case slices.Contains(in, manifest.SeqLensK):
			return false
		}
	}
	return some
}

// attentionOf is n as attention of ours: of its inputs, the length of rows becomes a
// plan (see Session.segments), and what was empty, the total length and the bias go.
func attentionOf(n node) operation {
	in := n.inputs
	return operation{op: "Attention", inputs: []string{in[0], in[3], in[4], in[5], in[7], in[8], in[9]}}
}

// productOf is n as a product by weights number at.
func productOf(n node, at int) operation {
	attribute := appendBytes(nil, 1, []byte("weights"))
	attribute = protowire.AppendVarint(protowire.AppendTag(attribute, 3, protowire.VarintType), uint64(at))
	attribute = protowire.AppendVarint(protowire.AppendTag(attribute, 20, protowire.VarintType), 2) // an INT
	return operation{op: "Product", inputs: n.inputs[:1], adds: attribute}
}

// rewrite is the graph's file with operations in the place of nodes, and without the
// weights that do not stay. It was parsed before: its fields are sound.
func (g *graph) rewrite(replaced map[int]operation, stays map[string]bool) []byte {
	node, weight := -1, -1
	file := mapFields(g.file, func(num protowire.Number, v []byte) ([]byte, bool) {
		if num != 7 { // not the graph
			return v, true
		}
		return mapFields(v, func(num protowire.Number, v []byte) ([]byte, bool) {
			switch num {
			case 1:
				node++
				if o, ok := replaced[node]; ok {
					return o.instead(v), true
				}
			case 5:
				weight++
				return v, stays[g.weights[weight].name]
			}
			return v, true
		}), true
	})
	opset := appendBytes(nil, 1, []byte("oreo"))
	opset = protowire.AppendVarint(protowire.AppendTag(opset, 2, protowire.VarintType), 1)
	return appendBytes(file, 8, opset)
}

// instead is a node's message with operator and inputs of o.
func (o operation) instead(node []byte) []byte {
	b := mapFields(node, func(num protowire.Number, v []byte) ([]byte, bool) {
		return v, num != 1 && num != 4 && num != 7
	})
	for _, name := range o.inputs {
		b = appendBytes(b, 1, []byte(name))
	}
	b = appendBytes(b, 4, []byte(o.op))
	if o.adds != nil {
		b = appendBytes(b, 5, o.adds)
	}
	return appendBytes(b, 7, []byte("oreo"))
}

// source is where the weights of a product are.
type source struct {
	shape  kernel.Shape
	turned bool // they are W^T, as MatMul wants it
	names  []string
	parts  []external // W, or codes, scales and zeros
}

// narrow is the fewest columns of y that are worth a panel, mostWide more than any model
// has.
const narrow, mostWide = 16, 1 << 28

// sourceOf tells whether n is a product with weights of the forms that export writes.
func sourceOf(n node, weights map[string]weight) (s source, ok bool) {
	a := n.attributes
	elems := []int{elemFloat32}
	switch {
	case n.op == "MatMul" && len(a) == 0, n.op == "Gemm" && len(a) == 1 && a["transB"] == 1:
		s.shape.Bits, s.turned = 32, n.op == "MatMul"
	case n.op == "MatMulNBits" && len(a) == 5 && a["accuracy_level"] == 4:
		s.shape = kernel.Shape{Bits: int(a["bits"]), Block: int(a["block_size"])}
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
		return s, s.shape.N >= narrow && s.shape.K >= 1 && max(dims[0], dims[1]) <= mostWide
	}
	rows, columns, block := a["N"], a["K"], a["block_size"]
	if block < 1 || rows < narrow || rows > mostWide || columns < 1 || columns > mostWide || columns%block != 0 || a["bits"] != 4 && a["bits"] != 8 {
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

// load reads the weights from the files in dir and lays them out, on all processors.
func (o *ours) load(dir string) (err error) {
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	total := 0
	for i, w := range o.weights {
		for _, part := range o.sources[i].parts {
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
	if total == 0 {
		return nil
	}
	if o.mem, err = hugeMapped(total); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	mem := o.mem
	for i, w := range o.weights {
		w.Lay(mem)
		mem = mem[aligned(w.Bytes()):]
		o.sources[i].load(files, w, &group)
	}
	return group.Wait()
}

func aligned(bytes int) int { return (bytes + kernel.Align - 1) &^ (kernel.Align - 1) }

// atOnce is how many weights are read at a time.
const atOnce = 1 << 20

// load adds the reading of w, piece by piece, to a group.
func (s source) load(files map[string]*os.File, w *kernel.Weights, group *errgroup.Group) {
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

// free must come after the session.
func (o *ours) free() {
	if o == nil {
		return
	}
	if o.operators != nil {
		o.operators.free()
	}
	for _, w := range o.weights {
		w.Free()
	}
	if o.mem != nil {
		_ = unix.Munmap(o.mem) // it was mapped alone
	}
}

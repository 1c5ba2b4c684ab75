package graph

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/x448/float16"
)

// chunk is how many weights are held in memory at a time.
const chunk = 1 << 20

// stack is one weight, or several of the same width on top of each other.
type stack []safetensors.Tensor

// stacked reads the weights of the given names, and names the stack: after the
// first, with the last parts of the others' names.
func (b *builder) stacked(names ...string) (name string, s stack, ok bool) {
	name = names[0]
	for _, n := range names[1:] {
		name += "+" + strings.TrimPrefix(path.Ext(strings.TrimSuffix(n, path.Ext(n))), ".")
	}
	for _, n := range names {
		if b.err != nil {
			return name, nil, false
		}
		var t safetensors.Tensor
		t, b.err = b.src.Weights.Get(n)
		s = append(s, t)
	}
	return name, s, b.err == nil
}

// shape is that of a tensor which holds the whole stack.
func (s stack) shape() []int {
	shape := slices.Clone(s[0].Shape)
	for _, t := range s[1:] {
		shape[0] += t.Shape[0]
	}
	return shape
}

func (s stack) len() (n int) {
	for _, t := range s {
		n += t.Len()
	}
	return n
}

// part reads elements [from, to).
func (s stack) part(from, to int) ([]float32, error) {
	out := make([]float32, 0, to-from)
	for _, t := range s {
		n := t.Len()
		if lo, hi := max(from, 0), min(to, n); lo < hi {
			values, err := t.Slice(lo, hi)
			if err != nil {
				return nil, err
			}
			for i, v := range values {
				if v-v != 0 { // NaN or infinite
					return nil, fmt.Errorf("%s: element %d is %v: the model is damaged or its training diverged", t.Name, lo+i, v)
				}
			}
			out = append(out, values...)
		}
		from, to = from-n, to-n
	}
	return out, nil
}

// table stores a weight as it is, under its own name.
func (b *builder) table(first string, t onnx.TensorProto_DataType, more ...string) string {
	name, w, ok := b.stacked(append([]string{first}, more...)...)
	if !ok {
		return name
	}
	return b.store(name, t, w)
}

func (b *builder) store(name string, t onnx.TensorProto_DataType, w stack) string {
	return b.initializer(name, t, w.shape(), func(out io.Writer) error {
		for from := 0; from < w.len(); from += chunk {
			values, err := w.part(from, min(from+chunk, w.len()))
			if err != nil {
				return err
			}
			if err := writeFloats(out, t, values); err != nil {
				return err
			}
		}
		return nil
	})
}

// transposed stores a linear weight [out, in] as the [in, out] that MatMul wants.
func (b *builder) transposed(names ...string) string {
	name, w, ok := b.stacked(names...)
	if !ok {
		return name
	}
	rows, cols := w.shape()[0], w.shape()[1]
	return b.initializer(name+".T", b.t, []int{cols, rows}, func(out io.Writer) error {
		strip := max(chunk/rows, 16) // columns turned at a time
		turned := make([]float32, strip*rows)
		for from := 0; from < cols; from += strip {
			to := min(from+strip, cols)
			for r := range rows {
				values, err := w.part(r*cols+from, r*cols+to)
				if err != nil {
					return err
				}
				for i, v := range values {
					turned[i*rows+r] = v
				}
			}
			if err := writeFloats(out, b.t, turned[:(to-from)*rows]); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeFloats writes values as float32 or float16.
func writeFloats(w io.Writer, t onnx.TensorProto_DataType, values []float32) error {
	buf := make([]byte, 0, len(values)*t.Size())
	for _, v := range values {
		if t == onnx.TensorProto_FLOAT {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			continue
		}
		h := float16.Fromfloat32(v)
		if h.IsInf(0) {
			return fmt.Errorf("%v does not fit in float16: export with --dtype fp32", v)
		}
		buf = binary.LittleEndian.AppendUint16(buf, h.Bits())
	}
	_, err := w.Write(buf)
	return err
}

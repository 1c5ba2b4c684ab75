package graph

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/x448/float16"
)

// chunk is how many weights are held in memory at a time.
const chunk = 1 << 20

// table stores a weight as it is, under its own name.
func (b *builder) table(name string, t onnx.TensorProto_DataType) string {
	w, ok := b.weight(name)
	if !ok {
		return name
	}
	return b.initializer(name, t, w.Shape, func(out io.Writer) error {
		for from := 0; from < w.Len(); from += chunk {
			values, err := part(w, from, min(from+chunk, w.Len()))
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
func (b *builder) transposed(name string) string {
	w, ok := b.weight(name)
	if !ok {
		return name
	}
	rows, cols := w.Shape[0], w.Shape[1]
	return b.initializer(name+".T", b.t, []int{cols, rows}, func(out io.Writer) error {
		strip := max(chunk/rows, 16) // columns turned at a time
		turned := make([]float32, strip*rows)
		for from := 0; from < cols; from += strip {
			to := min(from+strip, cols)
			for r := range rows {
				values, err := part(w, r*cols+from, r*cols+to)
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

func (b *builder) weight(name string) (safetensors.Tensor, bool) {
	if b.err != nil {
		return safetensors.Tensor{}, false
	}
	t, err := b.src.Weights.Get(name)
	b.err = err
	return t, err == nil
}

// part reads elements [from, to) of t.
func part(t safetensors.Tensor, from, to int) ([]float32, error) {
	size := t.DType.Size()
	values, err := safetensors.Tensor{Name: t.Name, DType: t.DType, Shape: []int{to - from}, Data: t.Data[from*size : to*size]}.Float32()
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if v-v != 0 { // NaN or infinite
			return nil, fmt.Errorf("element %d is %v: the model is damaged or its training diverged", from+i, v)
		}
	}
	return values, nil
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

//go:build cgo

package ort

// #include <stdlib.h>
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"
)

// cMemory is a kv.Allocator in C memory. onnxruntime keeps the addresses of its
// inputs after a call returns, which cgo's rules forbid for Go memory.
type cMemory struct{}

// Alloc returns zeroed memory.
func (cMemory) Alloc(bytes int) ([]byte, error) {
	if bytes == 0 {
		return nil, nil
	}
	p := C.calloc(1, C.size_t(bytes))
	if p == nil {
		return nil, fmt.Errorf("no memory for %d bytes", bytes)
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}

// Free gives memory of Alloc back.
func (cMemory) Free(b []byte) {
	if len(b) > 0 {
		C.free(unsafe.Pointer(&b[0]))
	}
}

// buffer is C memory that grows and is reused from pass to pass, and the value
// onnxruntime sees it as.
type buffer struct {
	mem  []byte
	view view
}

// take returns n bytes; what was there before is lost when it has to grow.
func (b *buffer) take(n int) ([]byte, error) {
	if n > len(b.mem) {
		if err := b.free(); err != nil {
			return nil, err
		}
		var err error
		if b.mem, err = (cMemory{}).Alloc(n + n/2); err != nil {
			return nil, err
		}
	}
	return b.mem[:n], nil
}

func (b *buffer) free() error {
	err := b.view.drop()
	cMemory{}.Free(b.mem)
	b.mem = nil
	return err
}

// view is an onnxruntime value over C memory that is not its own. It is made anew
// only where memory or shape change.
type view struct {
	value onnx.Value
	mem   *byte
	shape []int64
}

// of returns the value for mem, which holds elements of type elem.
func (v *view) of(mem []byte, elem int, shape ...int64) (onnx.Value, error) {
	at := unsafe.SliceData(mem)
	if v.value != nil && v.mem == at && slices.Equal(v.shape, shape) {
		return v.value, nil
	}
	if err := v.drop(); err != nil {
		return nil, err
	}
	value, err := onnx.NewCustomDataTensor(slices.Clone(shape), mem, onnx.TensorElementDataType(elem))
	if err != nil {
		return nil, err
	}
	v.value, v.mem, v.shape = value, at, append(v.shape[:0], shape...)
	return value, nil
}

func (v *view) drop() error {
	if v.value == nil {
		return nil
	}
	err := v.value.Destroy()
	v.value = nil
	return err
}

// as views bytes of C memory, which calloc aligns for any type, as elements.
func as[T int32 | int64 | float32](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(zero)))
}

// Package torch is the only door to libtorch: a thin tensor over gotch's C
// layer, with memory that is freed at the end of a Scope, errors instead of
// exceptions, and the few operators that gotch does not bind.
//
// # Memory
//
// Every tensor made inside Scope is freed when Scope returns, except those that
// were passed to Keep, which move one scope up. Outside any scope a tensor lives
// until Free. Live counts the handles, so a test can show that a step leaks none.
//
// # Errors
//
// Operators read like the mathematics and return no error: where libtorch throws
// (a wrong shape, memory exhausted) they panic with *Error, and the enclosing
// Scope returns it as an error.
//
// # Threads
//
// libtorch keeps its gradient mode and its last error per thread, and the stack
// of scopes is one per process: all calls must come from one goroutine at a
// time, and Scope pins it to its thread. libtorch itself uses all cores.
package torch

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Tensor is a handle of a libtorch tensor.
type Tensor struct {
	c     lib.Ctensor
	scope *arena // nil outside any scope
	slot  int    // index in scope.tensors
}

// Error is what libtorch threw.
type Error struct{ msg string }

func (e *Error) Error() string { return "libtorch: " + e.msg }

type arena struct{ tensors []*Tensor }

var (
	scopes []*arena
	live   int
)

// Live is the number of tensor handles not yet freed.
func Live() int { return live }

// Scope runs f, frees the tensors f made and returns the error of an operator
// that failed in it. Scopes nest.
func Scope(f func()) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &arena{}
	scopes = append(scopes, s)
	defer func() {
		scopes = scopes[:len(scopes)-1]
		for _, t := range s.tensors {
			if t != nil {
				t.free()
			}
		}
		if r := recover(); r != nil {
			e, ours := r.(*Error)
			if !ours {
				panic(r)
			}
			err = e
		}
	}()
	f()
	return nil
}

// Keep moves the tensors out of the current scope into the enclosing one; from
// the outermost scope they live until Free.
func Keep(ts ...*Tensor) {
	for _, t := range ts {
		if t.scope == nil {
			continue
		}
		t.scope.tensors[t.slot] = nil
		t.scope = nil
		if n := len(scopes); n > 1 {
			scopes[n-2].add(t)
		}
	}
}

// Tidy returns what f returns and frees the other tensors f made: what a gradient
// needs of them, the graph holds. It keeps the memory of a long computation down
// to that of its largest part.
func Tidy(f func() *Tensor) *Tensor {
	var out *Tensor
	err := Scope(func() {
		out = f()
		if out.scope == scopes[len(scopes)-1] {
			Keep(out)
		}
	})
	if err != nil {
		panic(err) // for the scope around
	}
	return out
}

// Free releases the handles now; a tensor of a scope need not be freed.
func Free(ts ...*Tensor) {
	for _, t := range ts {
		if t == nil || t.c == nil {
			continue
		}
		if t.scope != nil {
			t.scope.tensors[t.slot] = nil
		}
		t.free()
	}
}

func (t *Tensor) free() {
	lib.AtFree(t.c)
	t.c, t.scope = nil, nil
	live--
}

func (a *arena) add(t *Tensor) {
	t.scope, t.slot = a, len(a.tensors)
	a.tensors = append(a.tensors, t)
}

// wrap takes ownership of a handle that an operator returned, or panics with
// the error it left.
func wrap(c lib.Ctensor) *Tensor {
	check()
	t := &Tensor{c: c}
	live++
	if n := len(scopes); n > 0 {
		scopes[n-1].add(t)
	}
	return t
}

// check panics with the error that gotch's C layer left on this thread.
func check() {
	msg := lib.GetAndResetLastErr()
	if msg == nil {
		return
	}
	panic(toError(unsafe.Pointer(msg)))
}

// trim keeps the sentence of a libtorch message and drops its C++ stack.
func trim(msg string) string {
	msg, _, _ = strings.Cut(msg, "\nException raised from")
	return strings.TrimSpace(strings.ReplaceAll(msg, "\n", " "))
}

// Shape returns the sizes of all dimensions.
func (t *Tensor) Shape() []int64 {
	n := lib.AtDim(t.c)
	if n == 0 {
		return nil
	}
	shape := make([]int64, n)
	lib.AtShape(t.c, unsafe.Pointer(&shape[0]))
	return shape
}

// Len is the number of elements.
func (t *Tensor) Len() int64 {
	n := int64(1)
	for _, d := range t.Shape() {
		n *= d
	}
	return n
}

// DType is the element type.
func (t *Tensor) DType() DType { return DType(lib.AtScalarType(t.c)) }

// String shows shape and type, for messages.
func (t *Tensor) String() string { return fmt.Sprintf("%s%v", t.DType(), t.Shape()) }

// DType is an element type, numbered as c10::ScalarType.
type DType int32

// The element types used here.
const (
	Uint8    DType = 0
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	Float64  DType = 7
	Bool     DType = 11
	BFloat16 DType = 15
)

func (d DType) String() string {
	switch d {
	case Uint8:
		return "uint8"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case Bool:
		return "bool"
	case BFloat16:
		return "bfloat16"
	}
	return fmt.Sprintf("dtype(%d)", int32(d))
}

func (d DType) size() int {
	switch d {
	case Int64, Float64:
		return 8
	case Float32:
		return 4
	case Float16, BFloat16:
		return 2
	}
	return 1
}

// FromBytes makes a CPU tensor of the given type from little-endian data, which
// is copied. It panics with *Error if the sizes disagree.
func FromBytes(dtype DType, shape []int64, data []byte) *Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	if n*int64(dtype.size()) != int64(len(data)) {
		panic(&Error{fmt.Sprintf("%d bytes for shape %v of %s", len(data), shape, dtype)})
	}
	dims := shape
	if len(dims) == 0 {
		dims = []int64{1} // gotch indexes the first dimension
	}
	var empty [8]byte
	src := unsafe.Pointer(&empty)
	if len(data) > 0 {
		src = unsafe.Pointer(&data[0])
	}
	t := wrap(lib.AtTensorOfData(src, dims, uint(len(dims)), uint(dtype.size()), int(dtype)))
	if len(shape) == 0 {
		return t.Squeeze(0)
	}
	return t
}

// FromFloat32 makes a CPU tensor from values in row-major order.
func FromFloat32(values []float32, shape ...int64) *Tensor {
	return FromBytes(Float32, shape, bytesOf(values))
}

// FromFloat64 makes a CPU tensor from values in row-major order.
func FromFloat64(values []float64, shape ...int64) *Tensor {
	return FromBytes(Float64, shape, bytesOf(values))
}

// FromInt64 makes a CPU tensor from values in row-major order.
func FromInt64(values []int64, shape ...int64) *Tensor {
	return FromBytes(Int64, shape, bytesOf(values))
}

func bytesOf[T any](values []T) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// Bytes copies the elements to Go memory, little-endian, from any device.
func (t *Tensor) Bytes() []byte {
	out := make([]byte, t.Len()*int64(t.DType().size()))
	if len(out) == 0 {
		return out
	}
	c := t.Contiguous()
	lib.AtCopyData(c.c, unsafe.Pointer(&out[0]), uint(t.Len()), uint(t.DType().size()))
	check()
	return out
}

// Float32s copies the elements to Go memory, converted to float32.
func (t *Tensor) Float32s() []float32 {
	return elements[float32](t.To(Float32))
}

// Float64s copies the elements to Go memory, converted to float64.
func (t *Tensor) Float64s() []float64 {
	return elements[float64](t.To(Float64))
}

// Item is the value of a tensor of one element.
func (t *Tensor) Item() float64 {
	v := t.Float64s()
	if len(v) != 1 {
		panic(&Error{fmt.Sprintf("item of %s", t)})
	}
	return v[0]
}

func elements[T any](t *Tensor) []T {
	b := t.Bytes()
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), t.Len())
}

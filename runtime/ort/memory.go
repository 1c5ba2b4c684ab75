//go:build cgo

package ort

// #include <stdlib.h>
import "C"

import (
	"fmt"
	"unsafe"
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

// buffer is C memory that grows and is reused from pass to pass.
type buffer struct{ mem []byte }

// take returns n bytes; what was there before is lost when it has to grow.
func (b *buffer) take(n int) ([]byte, error) {
	if n > len(b.mem) {
		b.free()
		var err error
		if b.mem, err = (cMemory{}).Alloc(n + n/2); err != nil {
			return nil, err
		}
	}
	return b.mem[:n], nil
}

func (b *buffer) free() {
	cMemory{}.Free(b.mem)
	b.mem = nil
}

// as views bytes of C memory, which calloc aligns for any type, as elements.
func as[T int64 | float32](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(zero)))
}

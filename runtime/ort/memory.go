//go:build cgo

package ort

// #include <stdlib.h>
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/runtime/kv"
)

// cMemory is a kv.Allocator in C memory. onnxruntime keeps the addresses of its
// inputs after a call returns, which cgo's rules forbid for Go memory.
type cMemory struct{}

// muchMemory is asked of the kernel, whose pages are zero and cost nothing until they
// are touched; calloc writes to what it has handed out before.
const muchMemory = 1 << 20

// Alloc returns zeroed memory.
func (cMemory) Alloc(bytes int) ([]byte, error) {
	switch {
	case bytes == 0:
		return nil, nil
	case bytes >= muchMemory:
		return mapped(bytes)
	}
	p := C.calloc(1, C.size_t(bytes))
	if p == nil {
		return nil, fmt.Errorf("no memory for %d bytes", bytes)
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}

// mapped is zeroed memory of the kernel's, which unix.Munmap gives back.
func mapped(bytes int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("no memory for %d bytes: %w", bytes, err)
	}
	return b, nil
}

// Free gives memory of Alloc back.
func (cMemory) Free(b []byte) {
	switch {
	case len(b) == 0:
	case len(b) >= muchMemory:
		_ = unix.Munmap(b) // it fails for memory that is not mapped alone
	default:
		C.free(unsafe.Pointer(&b[0]))
	}
}

// address is where memory of Alloc lies.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// hostPlace is the host's memory.
func hostPlace() (place, error) { return newPlace(hostDevice, 0) }

// cache is the memory of a session's keys and values, on the host or on a device.
type cache interface {
	kv.Store
	room() int // tokens per row
	// memory is that of rows [lo, hi) of a tensor, until the next Resize.
	memory(tensor, lo, hi int) (at uintptr, bytes int)
	place() place
	free() error
}

// hostCache is a cache in C memory.
type hostCache struct {
	*kv.Host
	host place
}

func (c hostCache) room() int    { return c.Tokens() }
func (c hostCache) place() place { return c.host }
func (c hostCache) free() error  { return c.Resize(0, 0, nil) }

func (c hostCache) memory(tensor, lo, hi int) (at uintptr, bytes int) {
	b := c.View(tensor, lo, hi)
	return address(b), len(b)
}

// buffer is host memory that grows and is reused from pass to pass, and the value
// onnxruntime sees it as.
type buffer struct {
	mem  []byte
	view view
}

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
	b.view.drop()
	cMemory{}.Free(b.mem)
	b.mem = nil
}

// view is the value of some memory. It is made anew only where memory or shape
// change.
type view struct {
	value value
	at    uintptr
	shape []int64
}

// of returns the value of bytes at an address, which hold elements of type elem.
func (v *view) of(p place, at uintptr, bytes, elem int, shape ...int64) (value, error) {
	if v.value != nil && v.at == at && slices.Equal(v.shape, shape) {
		return v.value, nil
	}
	v.drop()
	var err error
	v.value, err = newValue(p, at, bytes, elem, shape)
	v.at, v.shape = at, append(v.shape[:0], shape...)
	return v.value, err
}

func (v *view) drop() {
	freeValue(v.value)
	v.value = nil
}

// as views bytes of C memory, which calloc aligns for any type, as elements.
func as[T int32 | int64 | float32](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(zero)))
}

//go:build cgo

package kernel

/*
#cgo CFLAGS: -O3
#include <stdlib.h>
#include "product.h"

static size_t scratch(const product *p, long m) { return p->scratch(p, m); }

static void multiply(const product *p, long m, const float *x, float *y, char *rows) {
	p->arrange(p, m, x, rows);
	p->panels(p, m, rows, y, 0, p->count);
}
*/
import "C"

import "unsafe"

// Weights are a matrix laid out for Multiply. They are set once, and may then be used
// by any number of threads.
type Weights struct {
	Shape
	layout
	mem []byte
	c   *C.product
}

// New returns weights that are still to be set, for which the caller has memory by way
// of Lay; nil if this machine has no kernel for their shape. The caller ends with Free.
func New(s Shape) *Weights {
	if s.N < 1 || s.K < 1 {
		return nil
	}
	c := (*C.product)(C.calloc(1, C.sizeof_product))
	c.n, c.k, c.bits, c.block = C.long(s.N), C.long(s.K), C.long(s.Bits), C.long(s.Block)
	if C.product_init(c) == 0 {
		C.free(unsafe.Pointer(c))
		return nil
	}
	return &Weights{Shape: s, c: c, layout: layout{
		columns: int(c.columns), streams: int(c.streams),
		side: int(c.side), sides: int(c.sides), apart: int(c.apart), part: int(c.part),
	}}
}

// Align is what the address of weights must be a multiple of.
const Align = 64

// Bytes is the memory that the weights take.
func (w *Weights) Bytes() int { return int(w.c.bytes) }

// Lay says where the weights lie: in Bytes of zeroed memory that is not Go's, until
// Free.
func (w *Weights) Lay(mem []byte) {
	w.mem = mem[:w.Bytes()]
	w.c.weights = (*C.char)(unsafe.Pointer(unsafe.SliceData(mem)))
}

// Multiply returns x [M, K] W^T.
func (w *Weights) Multiply(x []float32) []float32 {
	m := len(x) / w.K
	y := make([]float32, m*w.N)
	if m > 0 {
		rows := make([]byte, C.scratch(w.c, C.long(m)))
		C.multiply(w.c, C.long(m), (*C.float)(&x[0]), (*C.float)(&y[0]), (*C.char)(unsafe.Pointer(&rows[0])))
	}
	return y
}

// Kernel is the product of product.h that multiplies by w, for C.
func (w *Weights) Kernel() unsafe.Pointer { return unsafe.Pointer(w.c) }

// Free frees what is not the caller's.
func (w *Weights) Free() { C.free(unsafe.Pointer(w.c)) }

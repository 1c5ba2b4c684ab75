//go:build cgo

package kernel

/*
#include <stdlib.h>
#include "attention.h"

// attend computes attention a, whose units have room for all tokens.
static void attend(const attention_kernel *kernel, const attention *a, unit *units) {
	void *scratch = malloc(kernel->scratch(a));
	kernel->turn(a);
	long n = kernel->units(a, units);
	for (long i = 0; i < n; i++)
		for (long kv = 0; kv < a->kv_heads; kv++) kernel->unit(a, &units[i], kv, scratch);
	free(scratch);
}
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Attention is the kernel of attention.h, for C, for heads of dim numbers; nil if this
// machine has none.
func Attention(dim int) unsafe.Pointer { return unsafe.Pointer(C.attention_for(C.long(dim))) }

// segment is attention.h's.
type segment struct{ row, write, n, path, at int32 }

// layer is one layer's attention, with what attention.h says of each field.
type layer struct {
	heads, kvHeads, dim int
	room                int
	scale               float32
	qkv, keys, values   []float32
	segments            []segment
	slots               []int32
	cos, sin            []float32
	positions           []int64
}

// attend returns y [s, heads dim], and writes the new keys and values.
func (l layer) attend() []float32 {
	s := len(l.positions)
	y, q, units := make([]float32, s*l.heads*l.dim), make([]float32, s*l.heads*l.dim), make([]C.unit, s)
	var pin runtime.Pinner
	defer pin.Unpin()
	floats := func(x []float32) *C.float {
		p := unsafe.SliceData(x)
		pin.Pin(p)
		return (*C.float)(p)
	}
	slots := append(l.slots, 0) // never empty
	pin.Pin(&l.segments[0])
	pin.Pin(&slots[0])
	pin.Pin(&l.positions[0])
	longest := int32(0)
	for _, g := range l.segments {
		longest = max(longest, g.path+g.n)
	}
	a := C.attention{
		s: C.long(s), rows: C.long(len(l.keys) / (l.kvHeads * l.room * l.dim)), room: C.long(l.room),
		heads: C.long(l.heads), kv_heads: C.long(l.kvHeads), dim: C.long(l.dim), scale: C.float(l.scale),
		qkv: floats(l.qkv), keys: floats(l.keys), values: floats(l.values),
		segments: (*C.segment)(unsafe.Pointer(&l.segments[0])), n_segments: C.long(len(l.segments)),
		slots: (*C.int32_t)(&slots[0]), n_slots: C.long(len(l.slots)), longest: C.long(longest),
		cos: floats(l.cos), sin: floats(l.sin), positions: (*C.int64_t)(&l.positions[0]),
		q: floats(q), y: floats(y),
	}
	C.attend((*C.attention_kernel)(Attention(l.dim)), &a, &units[0])
	return y
}

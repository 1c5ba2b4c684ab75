//go:build cgo

package ort

/*
#include <stdlib.h>
#include "operator.h"
*/
import "C"

import (
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/kernel"
)

// operators are operators of ours that a session's graph may have, see operator.h.
type operators struct {
	c    *C.operators
	list unsafe.Pointer // of products
	api  *C.table
}

// addOperators gives a session with these options our operators, and the weights that
// the products among them have; attention is its kernel, nil for none. The caller frees
// them after the session, and the weights after that.
func addOperators(opts *onnx.SessionOptions, weights []*kernel.Weights, attention unsafe.Pointer) (*operators, error) {
	options, err := hidden(opts, "o")
	if err != nil {
		return nil, err
	}
	each := unsafe.Sizeof(uintptr(0))
	list := C.malloc(C.size_t(uintptr(1+len(weights)) * each))
	for i, w := range weights {
		*(*unsafe.Pointer)(unsafe.Add(list, uintptr(i)*each)) = w.Kernel()
	}
	o := &operators{c: (*C.operators)(C.calloc(1, C.sizeof_operators)), list: list, api: (*C.table)(apiTable())}
	if s := C.operators_add(o.c, (**C.product)(list), C.size_t(len(weights)), (*C.attention_kernel)(attention), o.api, (*C.OrtSessionOptions)(options)); s != nil {
		o.free()
		return nil, check(s)
	}
	return o, nil
}

func (o *operators) free() {
	C.operators_drop(o.c, o.api)
	C.free(unsafe.Pointer(o.c))
	C.free(o.list)
}

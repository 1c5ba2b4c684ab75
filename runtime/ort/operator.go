//go:build cgo

package ort

/*
#include <stdlib.h>
#include "operator.h"
*/
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/product"
)

// operators are products with weights of ours, as an operator that a session's graph
// may have: Product of domain oreo, x [..., K] -> x W^T [..., N], with the products'
// number as its attribute "weights".
type operators struct {
	c   *C.operators
	api *C.table
}

// addOperators gives a session with these options the products. The caller frees them
// after the session, and the products after that.
func addOperators(opts *onnx.SessionOptions, products []*product.Weights) (*operators, error) {
	// The binding keeps the pointer in a field that it does not show.
	field := reflect.Indirect(reflect.ValueOf(opts)).FieldByName("o")
	if field.Kind() != reflect.Pointer || field.IsNil() {
		return nil, fmt.Errorf("onnxruntime_go has no field %q where its version 1.27 has it", "o")
	}
	each := unsafe.Sizeof(uintptr(0))
	list := C.malloc(C.size_t(uintptr(len(products)) * each))
	for i, p := range products {
		*(*unsafe.Pointer)(unsafe.Add(list, uintptr(i)*each)) = p.Kernel()
	}
	o := &operators{c: (*C.operators)(C.calloc(1, C.sizeof_operators)), api: (*C.table)(apiTable())}
	o.c.products, o.c.n = (**C.product)(list), C.size_t(len(products))
	if s := C.operators_add(o.c, o.api, (*C.OrtSessionOptions)(field.UnsafePointer())); s != nil {
		err := check(s)
		o.free()
		return nil, err
	}
	return o, nil
}

func (o *operators) free() {
	C.operators_drop(o.c, o.api)
	C.free(unsafe.Pointer(o.c.products))
	C.free(unsafe.Pointer(o.c))
}

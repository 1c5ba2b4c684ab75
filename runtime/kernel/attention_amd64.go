//go:build cgo

package kernel

// #include "attention.h"
import "C"

import "unsafe"

// Attention is the kernel of attention.h, for C, for heads of dim numbers; nil if this
// machine has none.
func Attention(dim int) unsafe.Pointer { return unsafe.Pointer(C.attention_for(C.long(dim))) }

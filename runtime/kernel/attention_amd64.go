//go:build cgo

package kernel

// #include "attention.h"
import "C"

// Attention tells whether this machine has the attention kernel of attention.h for
// heads of dim numbers.
func Attention(dim int) bool { return C.attention_can(C.long(dim)) != 0 }

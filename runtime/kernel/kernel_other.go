//go:build !(cgo && amd64)

package kernel

import "unsafe"

// Weights cannot be had on this machine.
type Weights struct {
	Shape
	layout
	mem []byte
}

// Align is what the address of weights must be a multiple of.
const Align = 64

// New returns nil: there are no kernels.
func New(Shape) *Weights { return nil }

// Bytes is 0.
func (w *Weights) Bytes() int { return 0 }

// Lay does nothing.
func (w *Weights) Lay([]byte) {}

// Multiply returns nil.
func (w *Weights) Multiply([]float32) []float32 { return nil }

// Kernel is nil.
func (w *Weights) Kernel() unsafe.Pointer { return nil }

// Free does nothing.
func (w *Weights) Free() {}

// Attention is nil: there are no kernels.
func Attention(int) unsafe.Pointer { return nil }

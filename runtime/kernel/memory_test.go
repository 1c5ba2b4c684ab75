package kernel

import (
	"testing"
	"unsafe"
)

// memory returns zeroed memory, aligned. It is Go's, which C may read during a call as
// long as it is held elsewhere too: it is, until the test ends.
func memory(t testing.TB, bytes int) []byte {
	b := make([]byte, bytes+Align)
	t.Cleanup(func() { _ = b[0] })
	return b[-uintptr(unsafe.Pointer(&b[0]))%Align:][:bytes]
}

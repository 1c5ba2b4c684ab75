package main

import "testing"

// A processor multiplies and adds more than a number in ten of its cycles, and
// less than is built yet.
func TestPeak(t *testing.T) {
	floats, bytes := peaks()
	for _, x := range []float64{floats, bytes} {
		if x != 0 && (x < 1e8 || x > 1e14) {
			t.Errorf("%g and %g operations a second", floats, bytes)
		}
	}
	if floats == 0 {
		t.Skip("without cgo there is nothing to measure")
	}
}

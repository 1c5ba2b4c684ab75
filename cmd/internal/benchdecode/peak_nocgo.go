//go:build !cgo

package main

// Without C there is no onnxruntime to compare.
func peaks() (floats, bytes float64) { return 0, 0 }

func read([]byte) {}

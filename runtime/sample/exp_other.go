//go:build !amd64

package sample

// expSum is the sum of e^(x-top) over logits.
func expSum(logits []float32, top float32) float64 { return plainExpSum(logits, top) }

package sample

import (
	"math"

	"golang.org/x/sys/cpu"
)

var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasFMA

// vectors are the constants of expOf in the order in which the assembly reads them,
// eight of each.
var vectors = func() (v [11][8]float32) {
	for i, x := range [11]float32{lowest, log2e, magic, ln2Hi, ln2Lo, exp5, exp4, exp3, exp2, 1} {
		for lane := range v[i] {
			v[i][lane] = x
		}
	}
	for lane := range v[10] {
		v[10][lane] = math.Float32frombits(127)
	}
	return v
}()

// vectorExpSum is plainExpSum of n logits, a multiple of 8, by AVX2 and FMA.
//
//go:noescape
func vectorExpSum(logits *float32, n int, top float32, constants *[11][8]float32) float64

// expSum is the sum of e^(x-top) over logits.
func expSum(logits []float32, top float32) float64 {
	n := len(logits) &^ 7
	if !hasVectors || n == 0 {
		return plainExpSum(logits, top)
	}
	return vectorExpSum(&logits[0], n, top, &vectors) + plainExpSum(logits[n:], top)
}

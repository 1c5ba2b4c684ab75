package sample

import (
	"math"
	"slices"
	"testing"
)

func TestExp(t *testing.T) {
	for x := float32(0); x > -86; x -= 0.0137 {
		want := math.Exp(float64(x))
		if got := float64(expOf(x)); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("e^%v is %v, want %v", x, got, want)
		}
	}
	for _, x := range []float32{-87.5, -1e9, float32(math.Inf(-1))} {
		if got := expOf(x); got != 0 {
			t.Errorf("e^%v is %v", x, got)
		}
	}
}

// TestExpSum: of any length, with and without vectors.
func TestExpSum(t *testing.T) {
	rng := Rand(1, 2, 3, 4)
	logits := make([]float32, 600)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 20)
	}
	logits[70] = float32(math.Inf(-1))
	top := slices.Max(logits)
	for n := range len(logits) {
		want := 0.0
		for _, x := range logits[:n] {
			want += math.Exp(float64(x - top))
		}
		sums, total := expSums(nil, logits[:n], top)
		for name, got := range map[string]float64{"vectors": total, "plain": plainExpSum(logits[:n], top)} {
			if math.Abs(got-want) > 3e-7*want {
				t.Fatalf("%s: sum of %d is %v, want %v", name, n, got, want)
			}
		}
		if len(sums) != (n+block-1)/block {
			t.Fatalf("%d blocks of %d logits", len(sums), n)
		}
	}
	for _, at := range []int{0, 7, 300, 599} {
		with := slices.Clone(logits)
		with[at] = float32(math.NaN())
		if _, got := expSums(nil, with, top); !math.IsNaN(got) {
			t.Errorf("a sum with NaN at %d is %v", at, got)
		}
	}
}

func TestArgmax(t *testing.T) {
	rng := Rand(1, 2, 3, 5)
	for range 1000 {
		logits := make([]float32, 1+rng.IntN(40))
		for i := range logits {
			logits[i] = float32(rng.IntN(20)) // often twice
		}
		want := slices.Max(logits)
		if at, top := argmax(logits); top != float64(want) || at != slices.Index(logits, want) {
			t.Fatalf("%v: %v at %d", logits, top, at)
		}
	}
}

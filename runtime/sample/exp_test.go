package sample

import (
	"math"
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
	nan := float32(math.NaN())
	if got := expSum([]float32{0, nan, 1}, 1); !math.IsNaN(got) {
		t.Errorf("a sum with NaN is %v", got)
	}
}

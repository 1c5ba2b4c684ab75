package torch

import (
	"math"
	"strings"
	"testing"
)

func TestScopeFreesAndKeeps(t *testing.T) {
	before := Live()
	var kept *Tensor
	err := Scope(func() {
		x := FromFloat32([]float32{1, 2, 3, 4}, 2, 2)
		err := Scope(func() {
			kept = x.Add(x)
			x.Exp().Sum()
			Keep(kept)
		})
		if err != nil {
			t.Error(err)
		}
		Keep(kept)
	})
	if err != nil || Live() != before+1 {
		t.Fatalf("%d handles left, want 1; %v", Live()-before, err)
	}
	if got := kept.Float32s(); got[3] != 8 {
		t.Errorf("kept %v", got)
	}
	Free(kept)
	Free(kept)
}

func TestErrorsComeOutOfTheScope(t *testing.T) {
	before := Live()
	err := Scope(func() {
		FromFloat32([]float32{1, 2}, 2).Add(FromFloat32([]float32{1, 2, 3}, 3))
		t.Error("not reached")
	})
	if err == nil || !strings.Contains(err.Error(), "must match") || strings.Contains(err.Error(), "Exception raised") {
		t.Errorf("error %v", err)
	}
	if Live() != before {
		t.Errorf("%d handles left", Live()-before)
	}
	if err := Scope(func() { FromBytes(Float32, []int64{3}, make([]byte, 8)) }); err == nil {
		t.Error("a short buffer was accepted")
	}
}

func TestGradientsAndAdamW(t *testing.T) {
	err := Scope(func() {
		w := FromFloat64([]float64{1, -2, 3}, 3)
		w.SetRequiresGrad(true)
		m, v := w.Detach().Times(0), w.Detach().Times(0)
		w.Square().Sum().Backward()
		if g := w.Grad().Float64s(); g[1] != -4 {
			t.Errorf("gradient %v", g)
		}
		if n := ClipGradNorm([]*Tensor{w}, 1); math.Abs(n-math.Sqrt(56)) > 1e-9 {
			t.Errorf("norm %v", n)
		}
		// The first step of AdamW moves by lr against the sign, after decay.
		AdamW([]*Tensor{w}, []*Tensor{m}, []*Tensor{v}, 1, 0.1, 0.9, 0.95, 0.5, 1e-8)
		for i, want := range []float64{1*0.95 - 0.1, -2*0.95 + 0.1, 3*0.95 - 0.1} {
			if got := w.Float64s()[i]; math.Abs(got-want) > 1e-6 {
				t.Errorf("w[%d] = %v, want %v", i, got, want)
			}
		}
		ZeroGrad([]*Tensor{w})
		if w.Grad() != nil {
			t.Error("the gradient is still there")
		}
		NoGrad(func() {
			NoGrad(func() {})
			if w.Square().RequiresGrad() {
				t.Error("an inner NoGrad switched gradients on again")
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A query sees itself and what came before it, and heads of a group share keys.
func TestAttentionIsCausalAndGrouped(t *testing.T) {
	err := Scope(func() {
		q := FromFloat32(make([]float32, 1*4*3*2), 1, 4, 3, 2) // zeros: uniform weights
		k := FromFloat32(make([]float32, 1*2*3*2), 1, 2, 3, 2)
		v := FromFloat32([]float32{0, 0, 3, 3, 6, 6, 10, 10, 20, 20, 30, 30}, 1, 2, 3, 2)
		got := Attention(q, k, v, 1).Float32s()
		want := []float32{0, 0, 1.5, 1.5, 3, 3, 0, 0, 1.5, 1.5, 3, 3, 10, 10, 15, 15, 20, 20, 10, 10, 15, 15, 20, 20}
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenDevice(t *testing.T) {
	for _, bad := range []string{"tpu", "cuda:x", "cuda:-1", ""} {
		if _, err := OpenDevice(bad); err == nil {
			t.Errorf("device %q was accepted", bad)
		}
	}
	if d, err := OpenDevice("auto"); err != nil || (d.CUDA && d.String() != "cuda:0") {
		t.Errorf("auto: %v, %v", d, err)
	}
	if _, err := OpenDevice("cuda:99"); err == nil {
		t.Error("cuda:99 was accepted")
	}
}

func TestRoundTrips(t *testing.T) {
	err := Scope(func() {
		if got := FromInt64([]int64{-1, 1 << 40}, 2).Float64s(); got[1] != 1<<40 {
			t.Errorf("int64 %v", got)
		}
		s := FromFloat32([]float32{2.5})
		if len(s.Shape()) != 0 || s.Item() != 2.5 {
			t.Errorf("scalar %v", s)
		}
		if got := FromFloat32(nil, 0, 3).Float32s(); len(got) != 0 {
			t.Errorf("empty %v", got)
		}
		if got := FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 2, 3).Transpose(0, 1).Float32s(); got[1] != 4 {
			t.Errorf("transposed %v", got)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

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

// Tidy frees all but its result, from which gradients still flow, and leaves
// tensors of outer scopes where they are.
func TestTidy(t *testing.T) {
	err := Scope(func() {
		x := FromFloat64([]float64{1, 2}, 2)
		x.SetRequiresGrad(true)
		before := Live()
		y := Tidy(func() *Tensor { return x.Exp().Square().Sum() })
		if Live() != before+1 {
			t.Errorf("%d handles left, want 1", Live()-before)
		}
		y.Backward()
		if g := x.Grad().Float64s(); math.Abs(g[1]-2*math.Exp(4)) > 1e-9 {
			t.Errorf("gradient %v", g)
		}
		if Tidy(func() *Tensor { return x }) != x || x.Float64s()[0] != 1 {
			t.Error("a tensor of the outer scope was lost")
		}
		if err := Scope(func() {
			Tidy(func() *Tensor { return x.Add(FromFloat64([]float64{1, 2, 3}, 3)) })
		}); err == nil || !strings.Contains(err.Error(), "must match") {
			t.Errorf("error %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
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

// TestElementwise has values and gradients, far from 0 too, where a formula written
// out would overflow.
func TestElementwise(t *testing.T) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	x := []float64{-800, -1, 0, 2, 800}
	for name, c := range map[string]struct {
		f          func(*Tensor) *Tensor
		want, grad []float64
	}{
		"sigmoid": {(*Tensor).Sigmoid, []float64{0, sigmoid(-1), 0.5, sigmoid(2), 1},
			[]float64{0, sigmoid(1) * sigmoid(-1), 0.25, sigmoid(2) * sigmoid(-2), 0}},
		"log sigmoid": {(*Tensor).LogSigmoid, []float64{-800, math.Log(sigmoid(-1)), -math.Ln2, math.Log(sigmoid(2)), 0},
			[]float64{1, sigmoid(1), 0.5, sigmoid(-2), 0}},
		"at most 1": {func(x *Tensor) *Tensor { return x.AtMost(1) }, []float64{-800, -1, 0, 1, 1}, []float64{1, 1, 1, 0, 0}},
		"equals 2":  {func(x *Tensor) *Tensor { return x.Equals(2).Add(x.Times(0)) }, []float64{0, 0, 0, 1, 0}, make([]float64, 5)},
	} {
		err := Scope(func() {
			in := FromFloat64(x, 5)
			in.SetRequiresGrad(true)
			out := c.f(in)
			out.Sum().Backward()
			got, grad := out.Float64s(), in.Grad().Float64s()
			for i := range x {
				if math.Abs(got[i]-c.want[i]) > 1e-12 || math.Abs(grad[i]-c.grad[i]) > 1e-12 {
					t.Errorf("%s of %v: %v with gradient %v, want %v and %v", name, x[i], got[i], grad[i], c.want[i], c.grad[i])
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestScatterAdd(t *testing.T) {
	err := Scope(func() {
		x := FromFloat64([]float64{1, 2, 3, 4, 5, 6}, 2, 3)
		x.SetRequiresGrad(true)
		index := FromInt64([]int64{0, 0, 3, 1, 3, 1}, 2, 3)
		got := x.Zeros(2, 4).ScatterAdd(1, index, x)
		for i, want := range []float64{3, 0, 0, 3, 0, 10, 0, 5} {
			if v := got.Float64s()[i]; v != want {
				t.Errorf("element %d is %v, want %v", i, v, want)
			}
		}
		got.Mul(got.Detach()).Sum().Backward()
		for i, want := range []float64{3, 3, 3, 10, 5, 10} {
			if v := x.Grad().Float64s()[i]; v != want {
				t.Errorf("gradient %d is %v, want %v", i, v, want)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Scope(func() {
		FromFloat64([]float64{1}, 1, 1).Zeros(1, 2).ScatterAdd(1, FromInt64([]int64{2}, 1, 1), FromFloat64([]float64{1}, 1, 1))
	}); err == nil {
		t.Error("an index behind the end was accepted")
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

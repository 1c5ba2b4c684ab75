package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// heights are numbers of rows around the heights of tiles.
var heights = []int{1, 2, 5, 6, 7, 9, 10, 18, 19, 25, 28, 61}

// filled returns weights of shape s, which fill sets.
func filled(t *testing.T, s Shape, fill func(*Weights)) *Weights {
	t.Helper()
	w := New(s)
	if w == nil {
		t.Skipf("no kernel for weights of %d bits on this machine", s.Bits)
	}
	t.Cleanup(w.Free)
	w.Lay(memory(t, w.Bytes()))
	fill(w)
	return w
}

// alike multiplies rows x [M, K], and checks that y [M, N] is near to want and that each
// row is bit for bit what it is alone.
func alike(t *testing.T, w *Weights, x []float32, want func(row, n int) float64, tolerance float64) {
	t.Helper()
	y := w.Multiply(x)
	for r := range len(x) / w.K {
		alone := w.Multiply(x[r*w.K : (r+1)*w.K])
		for n := range w.N {
			if got, exact := y[r*w.N+n], want(r, n); math.Abs(float64(got)-exact) > tolerance {
				t.Fatalf("%d rows: y[%d, %d] = %v, want %v", len(x)/w.K, r, n, got, exact)
			}
			if math.Float32bits(alone[n]) != math.Float32bits(y[r*w.N+n]) {
				t.Fatalf("%d rows: y[%d, %d] = %v, and %v with that row alone", len(x)/w.K, r, n, y[r*w.N+n], alone[n])
			}
		}
	}
}

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// dot is the sum of products of a and b, whose elements are stride apart.
func dot(a, b []float32, stride int) (sum float64) {
	for i, v := range a {
		sum += float64(v) * float64(b[i*stride])
	}
	return sum
}

func TestFloats(t *testing.T) {
	for _, s := range []Shape{{N: 16, K: 1}, {N: 48, K: 8}, {N: 50, K: 7}, {N: 97, K: 64}, {N: 33, K: 576}, {N: 20, K: 9001}} {
		s.Bits = 32
		t.Run(fmt.Sprintf("%dx%d", s.N, s.K), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			data := normal(rng, s.N*s.K) // W, or W^T
			rows := filled(t, s, func(w *Weights) {
				cut := s.N / 3
				w.SetRows(cut, data[cut*s.K:])
				w.SetRows(0, data[:cut*s.K])
			})
			turned := filled(t, s, func(w *Weights) {
				cut := s.K / 3
				w.SetColumns(cut, data[cut*s.N:])
				w.SetColumns(0, data[:cut*s.N])
			})
			for _, m := range heights {
				x := normal(rng, m*s.K)
				tolerance := 1e-6 + 3e-7*float64(s.K)
				alike(t, rows, x, func(r, n int) float64 { return dot(x[r*s.K:(r+1)*s.K], data[n*s.K:], 1) }, tolerance)
				alike(t, turned, x, func(r, n int) float64 { return dot(x[r*s.K:(r+1)*s.K], data[n:], s.N) }, tolerance)
			}
		})
	}
}

// rounded is x as the kernel of codes has it: 8 bits and a scale for each block.
func rounded(x []float32, block int) []float32 {
	out := make([]float32, len(x))
	for b := 0; b < len(x); b += block {
		largest := float32(0)
		for _, v := range x[b : b+block] {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		for i := b; largest > 0 && i < b+block; i++ {
			out[i] = largest / 127 * float32(math.RoundToEven(float64(x[i]*(127/largest))))
		}
	}
	return out
}

func TestCodes(t *testing.T) {
	for _, s := range []Shape{
		{N: 16, K: 64, Bits: 8, Block: 64}, {N: 70, K: 576, Bits: 8, Block: 64}, {N: 40, K: 96, Bits: 8, Block: 32},
		{N: 33, K: 32, Bits: 4, Block: 32}, {N: 64, K: 576, Bits: 4, Block: 32}, {N: 20, K: 4000, Bits: 4, Block: 32},
	} {
		t.Run(fmt.Sprintf("%d bits, blocks of %d, %dx%d", s.Bits, s.Block, s.N, s.K), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			blocks, perByte := s.K/s.Block, 8/s.Bits
			codes, zeros := make([]byte, s.N*s.K/perByte), make([]byte, s.N*((blocks+perByte-1)/perByte))
			for i := range codes {
				codes[i] = byte(rng.Uint32())
			}
			for i := range zeros {
				zeros[i] = byte(rng.Uint32())
			}
			scales := normal(rng, s.N*blocks)
			data := make([]float32, s.N*s.K) // W
			for n := range s.N {
				for k := range s.K {
					b := k / s.Block
					zero := code(zeros[n*len(zeros)/s.N:], b, s.Bits)
					data[n*s.K+k] = scales[n*blocks+b] * (float32(code(codes, n*s.K+k, s.Bits)) - float32(zero))
				}
			}
			w := filled(t, s, func(w *Weights) {
				cut := s.N / 3
				w.SetCodes(cut, codes[cut*len(codes)/s.N:], scales[cut*blocks:], zeros[cut*len(zeros)/s.N:])
				w.SetCodes(0, codes[:cut*len(codes)/s.N], scales, zeros)
			})
			for _, m := range heights {
				x := normal(rng, m*s.K)
				clear(x[:s.Block]) // a block of zeros has no scale
				q := rounded(x, s.Block)
				size := 3 * float64(int(1)<<s.Bits) * math.Sqrt(float64(s.K))
				alike(t, w, x, func(r, n int) float64 { return dot(q[r*s.K:(r+1)*s.K], data[n*s.K:], 1) }, 2e-6*size)
			}
		})
	}
}

// A shape that no kernel is for is refused, whatever it holds.
func TestOtherShapes(t *testing.T) {
	for _, s := range []Shape{
		{}, {N: 16, K: 64}, {N: 16, K: 64, Bits: 8}, {N: 16, K: 64, Bits: 4, Block: -32}, {N: 16, K: 64, Bits: 4, Block: 64},
		{N: 16, K: 65, Bits: 8, Block: 64}, {N: 16, K: 64, Bits: 16, Block: 32}, {N: 0, K: 64, Bits: 32}, {N: 16, K: -1, Bits: 32},
	} {
		if w := New(s); w != nil {
			t.Errorf("%+v: a kernel of %d bytes", s, w.Bytes())
			w.Free()
		}
	}
}

// TestDamage gives rows a number that is none: it must not get lost.
func TestDamage(t *testing.T) {
	for _, s := range []Shape{{N: 16, K: 64, Bits: 32}, {N: 16, K: 64, Bits: 8, Block: 64}, {N: 16, K: 64, Bits: 4, Block: 32}} {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
			w := filled(t, s, func(w *Weights) {
				switch s.Bits {
				case 32:
					w.SetRows(0, normal(rand.New(rand.NewPCG(5, 6)), s.N*s.K))
				default:
					scales := make([]float32, s.N*s.K/s.Block)
					for i := range scales {
						scales[i] = 1
					}
					codes := make([]byte, s.N*s.K*s.Bits/8)
					for i := range codes {
						codes[i] = 0x77
					}
					w.SetCodes(0, codes, scales, make([]byte, s.N*((s.K/s.Block*s.Bits+7)/8)))
				}
			})
			x := make([]float32, 2*s.K)
			x[s.K+5] = bad
			for i, v := range w.Multiply(x) {
				if damaged := v-v != 0; damaged != (i >= s.N) {
					t.Errorf("%d bits, %v in the second row: y[%d, %d] = %v", s.Bits, bad, i/s.N, i%s.N, v)
				}
			}
		}
	}
}

// BenchmarkMultiply is a layer's widest product, from memory, in GB of weights a second.
func BenchmarkMultiply(b *testing.B) {
	for _, s := range []Shape{{Bits: 32}, {Bits: 8, Block: 64}, {Bits: 4, Block: 32}} {
		s.N, s.K = 49152, 576
		w := New(s)
		if w == nil {
			b.Skip("no kernel on this machine")
		}
		w.Lay(memory(b, w.Bytes()))
		for _, m := range []int{1, 8, 25, 100} {
			x := normal(rand.New(rand.NewPCG(7, 8)), m*s.K)
			b.Run(fmt.Sprintf("bits=%d/rows=%d", s.Bits, m), func(b *testing.B) {
				b.SetBytes(int64(w.Bytes()))
				for b.Loop() {
					w.Multiply(x)
				}
				b.ReportMetric(2e-9*float64(m)*float64(s.N)*float64(s.K)*float64(b.N)/b.Elapsed().Seconds(), "Gop/s")
			})
		}
		w.Free()
	}
}

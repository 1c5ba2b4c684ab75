package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// unpack turns a row back into floats, following the operator's documentation
// rather than the code above: scale * (code - zero), blocks in order.
func unpack(columns, bits int, codes []byte, scales []float32, zeros []byte) []float32 {
	number := func(packed []byte, i int) float32 {
		if bits == 8 {
			return float32(packed[i])
		}
		if i%2 == 0 {
			return float32(packed[i/2] & 15)
		}
		return float32(packed[i/2] >> 4)
	}
	out := make([]float32, columns)
	size := Block(columns, bits)
	for i := range out {
		out[i] = scales[i/size] * (number(codes, i) - number(zeros, i/size))
	}
	return out
}

func quantise(row []float32, c *Calibration, bits int) []float32 {
	codes, zeros := make([]byte, CodeBytes(len(row), bits)), make([]byte, ZeroBytes(len(row), bits))
	scales := make([]float32, Blocks(len(row), bits))
	Row(slices.Clone(row), c, bits, codes, scales, zeros)
	return unpack(len(row), bits, codes, scales, zeros)
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ columns, bits, blocks, codes, zeros int }{
		{32, 8, 1, 32, 1}, {33, 8, 2, 64, 2}, {32, 4, 1, 16, 1}, {96, 4, 3, 48, 2}, {1, 4, 1, 16, 1}, {64, 8, 1, 64, 1}, {192, 8, 3, 192, 3}, {192, 4, 6, 96, 3},
	} {
		if b, n, z := Blocks(c.columns, c.bits), CodeBytes(c.columns, c.bits), ZeroBytes(c.columns, c.bits); b != c.blocks || n != c.codes || z != c.zeros {
			t.Errorf("%+v: %d blocks, %d and %d bytes", c, b, n, z)
		}
	}
}

// TestError: with rounding to nearest no weight is off by more than half a step
// (and a little where the zero itself was rounded), for rows of any length.
func TestError(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, columns := range []int{1, 31, 32, 33, 96, 192, 200} {
		row := make([]float32, columns)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		got := quantise(row, nil, 8)
		for i := range row {
			from := i / Block(columns, 8) * Block(columns, 8)
			block := row[from:min(from+Block(columns, 8), columns)]
			step := (max(slices.Max(block), 0) - min(slices.Min(block), 0)) / 255
			if d := math.Abs(float64(got[i] - row[i])); d > 1.01*float64(step) {
				t.Errorf("%d columns: weight %d is %v for %v, step %v", columns, i, got[i], row[i], step)
			}
		}
	}
}

// TestExact: what lies on a grid of 16 levels comes back unchanged.
func TestExact(t *testing.T) {
	row := make([]float32, 64)
	for i := range row {
		row[i] = 0.125 * float32(i%16-5)
	}
	got := quantise(row, nil, 4)
	for i := range row {
		if math.Abs(float64(got[i]-row[i])) > 1e-6 {
			t.Errorf("weight %d is %v for %v", i, got[i], row[i])
		}
	}
	for _, bits := range []int{4, 8} {
		for i, v := range quantise(make([]float32, 40), nil, bits) {
			if v != 0 {
				t.Errorf("%d bits: zero %d became %v", bits, i, v)
			}
		}
		same := slices.Repeat([]float32{-0.75}, 32)
		for i, v := range quantise(same, nil, bits) {
			if math.Abs(float64(v+0.75)) > 1e-6 {
				t.Errorf("%d bits: weight %d of a constant block became %v", bits, i, v)
			}
		}
	}
}

// TestSearch: the search beats rounding to the full range, and spends its levels
// where the importance is.
func TestSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var plain, searched, even, focused float64
	for range 200 {
		row, importance := make([]float32, Smallest), make([]float32, Smallest)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
			importance[i] = 0.01
		}
		importance[rng.IntN(Smallest)] = 10
		lo, hi := min(slices.Min(row), 0), max(slices.Max(row), 0)
		scale := (hi - lo) / 15
		zero := uint8(math.Round(float64(-lo / scale)))
		without, with := quantise(row, nil, 4), quantise(row, &Calibration{importance: importance, factors: identity(Smallest)}, 4)
		for i, x := range row {
			d := float64(x - scale*(float32(round(x, scale, zero, 4))-float32(zero)))
			plain += d * d
			d = float64(x - without[i])
			searched += d * d
			even += float64(importance[i]) * d * d
			d = float64(x - with[i])
			focused += float64(importance[i]) * d * d
		}
	}
	if !(searched < 0.95*plain) {
		t.Errorf("squared error %v with the search, %v without", searched, plain)
	}
	if !(focused < 0.5*even) {
		t.Errorf("weighted error %v with importance, %v without", focused, even)
	}
	t.Logf("search / rounding %.3f, importance %.3f", searched/plain, focused/even)
}

// identity is a factor of uncorrelated inputs: nothing can be made up for.
func identity(n int) []float32 {
	u := make([]float32, n*n)
	for i := range n {
		u[i*n+i] = 1
	}
	return u
}

// correlated are inputs of a layer as real ones are: each is a mix of few causes.
func correlated(rng *rand.Rand, positions, columns int) [][]float32 {
	causes := make([][]float64, columns/8)
	for i := range causes {
		causes[i] = make([]float64, columns)
		for j := range causes[i] {
			causes[i][j] = rng.NormFloat64()
		}
	}
	out := make([][]float32, positions)
	for t := range out {
		out[t] = make([]float32, columns)
		for j := range out[t] {
			out[t][j] = float32(rng.NormFloat64() / 4)
		}
		for _, cause := range causes {
			strength := rng.NormFloat64()
			for j, v := range cause {
				out[t][j] += float32(strength * v / 4)
			}
		}
	}
	return out
}

// TestFactor: U is upper triangular, and U^T U the inverse of what it is made of.
func TestFactor(t *testing.T) {
	const n, damp = 20, 0.1
	x := correlated(rand.New(rand.NewPCG(5, 6)), 50, n)
	u := factor(x, 0, n, damp)
	for i := range n {
		for j := range n {
			if j < i && u[i*n+j] != 0 {
				t.Errorf("U[%d, %d] is %v below the diagonal", i, j, u[i*n+j])
			}
			var sum float64 // (U^T U H)[i, j]
			for k := range n {
				h := 0.0
				for _, row := range x {
					h += float64(row[k]) * float64(row[j]) / float64(len(x))
				}
				if k == j {
					h += damp
				}
				for l := range n {
					sum += float64(u[l*n+i]) * float64(u[l*n+k]) * h
				}
			}
			want := 0.0
			if i == j {
				want = 1
			}
			if math.Abs(sum-want) > 1e-4 {
				t.Errorf("(U^T U H)[%d, %d] is %v, want %v", i, j, sum, want)
			}
		}
	}
}

// TestFeedback: with the errors of one column made up for in others, the outputs
// change less, also for inputs that the calibration has not seen.
func TestFeedback(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const columns = Window + 72 // two windows, and a block that is not full
	x := correlated(rng, 200, columns)
	seen, unseen := x[:150], x[150:]
	c := Calibrate(seen)
	alone := &Calibration{importance: c.importance}
	for from := 0; from < columns; from += Window {
		alone.factors = append(alone.factors, identity(min(Window, columns-from))...)
	}
	var with, without float64
	for range 20 {
		row := make([]float32, columns)
		for i := range row {
			row[i] = float32(rng.NormFloat64())
		}
		a, b := quantise(row, c, 4), quantise(row, alone, 4)
		for _, x := range unseen {
			var da, db float64
			for i, v := range x {
				da += float64(v) * float64(row[i]-a[i])
				db += float64(v) * float64(row[i]-b[i])
			}
			with, without = with+da*da, without+db*db
		}
	}
	t.Logf("squared error of the outputs with feedback / without: %.3f", with/without)
	if !(with < 0.8*without) {
		t.Errorf("squared error %v with feedback, %v without", with, without)
	}
}

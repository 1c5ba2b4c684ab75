package quant

import "math"

// Window is the number of neighbouring columns among which rounding errors are
// made up for.
const Window = 256

// damping is the share of the inputs' mean square that is added to that of each:
// what a short calibration has not seen could matter too.
const damping = 0.05

// Calibration is what is known of a linear layer's inputs: how much an error in
// each column of its weight counts, and by how much later columns can make up for
// earlier ones.
type Calibration struct {
	importance []float32 // [columns] mean squares
	factors    []float32 // one window after the other: the upper triangular U [n, n] for which U^T U is the inverse of the inputs' H
}

// Calibrate learns from the inputs of a layer at T positions, [T][columns]. It
// takes T * columns * Window steps.
func Calibrate(inputs [][]float32) *Calibration {
	columns := len(inputs[0])
	c := &Calibration{importance: make([]float32, columns)}
	var total float64
	for i := range columns {
		var sum float64
		for _, x := range inputs {
			sum += float64(x[i]) * float64(x[i])
		}
		c.importance[i] = float32(sum / float64(len(inputs)))
		total += sum / float64(len(inputs))
	}
	for i := range c.importance {
		c.importance[i] += float32(1e-3 * total / float64(columns)) // silent inputs count too
	}
	for from := 0; from < columns; from += Window {
		c.factors = append(c.factors, factor(inputs, from, min(from+Window, columns), damping*total/float64(columns))...)
	}
	return c
}

// factor returns U for columns [from, to).
//
// With H = R R^T for an upper triangular R, which is a Cholesky decomposition from
// the last column on, the inverse is R^-T R^-1, so that U = R^-1.
func factor(inputs [][]float32, from, to int, damp float64) []float32 {
	n := to - from
	h := make([]float64, n*n)
	for _, x := range inputs {
		x = x[from:to]
		for i, v := range x {
			row := h[i*n : (i+1)*n]
			for j := i; j < n; j++ {
				row[j] += float64(v) * float64(x[j]) / float64(len(inputs))
			}
		}
	}
	for i := range n {
		h[i*n+i] += damp + 1e-12
	}
	for j := n - 1; j >= 0; j-- { // R takes the place of H's upper triangle
		pivot := math.Sqrt(h[j*n+j])
		h[j*n+j] = pivot
		for i := range j {
			h[i*n+j] /= pivot
		}
		for i := range j {
			r := h[i*n+j]
			for k := i; k < j; k++ {
				h[i*n+k] -= r * h[k*n+j]
			}
		}
	}
	u := make([]float32, n*n)
	inverse := make([]float64, n) // a row of R^-1
	for i := range n {
		for j := i; j < n; j++ {
			sum := 0.0
			if i == j {
				sum = 1
			}
			for k := i; k < j; k++ {
				sum -= inverse[k] * h[k*n+j]
			}
			inverse[j] = sum / h[j*n+j]
			u[i*n+j] = float32(inverse[j])
		}
	}
	return u
}

// spread takes the error of column i, which was rounded, out on the columns behind
// it in its window, such that the layer's output changes least (GPTQ, arXiv
// 2210.17323).
func (c *Calibration) spread(row []float32, i int, err float32) {
	first := i / Window * Window
	n := min(Window, len(row)-first)
	u := c.factors[first*Window : first*Window+n*n]
	at := i - first
	line := u[at*n : (at+1)*n]
	err /= line[at]
	rest := row[first+at+1 : first+n]
	for k, f := range line[at+1:] {
		rest[k] -= err * f
	}
}

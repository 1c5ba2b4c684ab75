// Package quant rounds weights to 8 or 4 bits in blocks, in the layout of
// onnxruntime's MatMulNBits: a weight x of a block is scale * (q - zero), with
// one float32 scale and one integer zero for the neighbours of a row in it.
package quant

import (
	"math"
	"slices"
)

// Smallest is the length of the shortest blocks.
const Smallest = 32

// Block is the number of weights that share a scale in rows of that many columns.
// At 8 bits it is 64 where that divides a row: it decodes a tenth to a fifth faster
// than 32, and costs SmolLM2-135M a mean KL of 0.008 instead of 0.005.
func Block(columns, bits int) int {
	if bits == 8 && columns%64 == 0 {
		return 64
	}
	return Smallest
}

// Blocks is how many blocks a row of that many columns has; the last one may be
// partly empty.
func Blocks(columns, bits int) int {
	size := Block(columns, bits)
	return (columns + size - 1) / size
}

// CodeBytes is the packed size of one row: a code of bits for each place of a block.
func CodeBytes(columns, bits int) int { return Blocks(columns, bits) * Block(columns, bits) * bits / 8 }

// ZeroBytes is the packed size of a row's zeros: bits each, rounded up to bytes.
func ZeroBytes(columns, bits int) int { return (Blocks(columns, bits)*bits + 7) / 8 }

// Row quantises one row into codes [CodeBytes], scales [Blocks] and zeros
// [ZeroBytes], which must be zeroed. Two 4-bit numbers share a byte, the first in
// its low half. With a calibration, nil for none, 4-bit rounding looks at what it
// does to the layer's output, and overwrites row with working values.
func Row(row []float32, c *Calibration, bits int, codes []byte, scales []float32, zeros []byte) {
	size := Block(len(row), bits)
	per := size * bits / 8
	if bits != 4 {
		c = nil
	}
	for b := range scales {
		from, to := b*size, min((b+1)*size, len(row))
		block, counts := row[from:to], ones[:to-from]
		if c != nil {
			counts = c.importance[from:to]
		}
		scale, zero := fit(block, counts, bits)
		scales[b] = scale
		put(zeros, b, zero, bits)
		for i := range size {
			code := zero // padding stands for 0
			if i < len(block) {
				code = round(block[i], scale, zero, bits)
				if c != nil {
					c.spread(row, from+i, block[i]-scale*(float32(code)-float32(zero)))
				}
			}
			put(codes[b*per:], i, code, bits)
		}
	}
}

var ones = slices.Repeat([]float32{1}, 64)

func put(packed []byte, i int, code uint8, bits int) {
	if bits == 8 {
		packed[i] = code
		return
	}
	packed[i/2] |= code << (4 * (i % 2))
}

// fit chooses scale and zero of a block.
func fit(block, counts []float32, bits int) (scale float32, zero uint8) {
	lo, hi := float32(0), float32(0) // 0 must have a code
	for _, x := range block {
		lo, hi = min(lo, x), max(hi, x)
	}
	if lo == hi {
		return 1, 1 << (bits - 1)
	}
	levels := float32(int(1)<<bits - 1)
	scale = (hi - lo) / levels
	zero = uint8(math.RoundToEven(float64(-lo / scale)))
	if bits == 4 {
		return search(block, counts, lo, hi)
	}
	return scale, zero
}

// search looks for the 4-bit scale and zero of least squared error, each column
// counting w: rounding to nearest spends the range on the extremes, and with 16
// levels that costs more than cutting them a little. For codes q - zero = c the
// best scale is sum(w x c) / sum(w c c), which leaves the error
// sum(w x x) - sum(w x c)^2 / sum(w c c).
func search(block, counts []float32, lo, hi float32) (scale float32, zero uint8) {
	const top = 15
	full := (hi - lo) / top
	middle := math.RoundToEven(float64(-lo / full))
	best := float32(-1)
	for step := range 10 {
		s := full * (1.05 - 0.05*float32(step))
		for z := max(middle-1, 0); z <= min(middle+1, top); z++ {
			if xc, cc := project(block, counts, 1/s, float32(z)); xc > 0 && xc*xc/cc > best {
				best, scale, zero = xc*xc/cc, xc/cc, uint8(z)
			}
		}
	}
	return scale, zero
}

// project returns sum(w x c) and sum(w c c) for the codes c of a block. It is the
// inner loop of the exporter.
func project(block, counts []float32, inverse, zero float32) (xc, cc float32) {
	counts = counts[:len(block)]
	for i, x := range block {
		c := float32(int32(min(max(x*inverse+zero+0.5, 0), 15.5))) - zero
		wc := counts[i] * c
		xc += x * wc
		cc += c * wc
	}
	return xc, cc
}

// round is the code nearest to x.
func round(x, scale float32, zero uint8, bits int) uint8 {
	q := math.RoundToEven(float64(x/scale)) + float64(zero)
	return uint8(min(max(q, 0), float64(int(1)<<bits-1)))
}

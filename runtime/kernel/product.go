// Package kernel is the arithmetic of a language model's pass that takes the time, for
// processors on which it is faster than onnxruntime's: x86-64 with AVX-512, and for 8- and
// 4-bit weights with its VNNI. Package ort puts it into a graph where there is one.
//
// Products with weights, y [M, N] = x [M, K] W^T for weights W [N, K], in float32 or in
// blocks of codes: with few rows that is reading W, so weights are laid out in the order
// in which they are read, in several streams, and fetched ahead; one row takes the time
// that memory needs. With many rows it is arithmetic, and sums stay in registers.
//
// Attention over a cache that the branches of a tree share: a token reads the slots of
// its own path, in their order.
//
// Both add up a token's sums in the same order whatever is computed beside it: no bit of
// its answer depends on the batch.
package kernel

import (
	"encoding/binary"
	"math"
	"strings"
)

// Have says what this machine has kernels for, "" if for nothing.
func Have() string {
	var have []string
	for _, k := range []struct {
		name  string
		shape Shape
	}{{"float32", Shape{N: 1, K: 64, Bits: 32}}, {"8-bit", Shape{N: 1, K: 64, Bits: 8, Block: 64}}, {"4-bit", Shape{N: 1, K: 64, Bits: 4, Block: 32}}} {
		if w := New(k.shape); w != nil {
			w.Free()
			have = append(have, k.name+" products")
		}
	}
	if Attention(64) != nil {
		have = append(have, "attention")
	}
	return strings.Join(have, ", ")
}

// Shape is that of weights W [N, K].
type Shape struct {
	N, K  int
	Bits  int // of a weight: 32 for float32, 8 or 4 for codes
	Block int // codes in a row that share a scale and a zero: 64 of 8 bits, or 32; 0 for float32
}

// layout says how weights lie in memory, see product.h and the kernels.
type layout struct {
	columns, streams         int
	side, sides, apart, part int
}

// SetColumns sets float32 weights W[:, from:], of which part holds [k][N]: the layout
// of ONNX's MatMul.
func (w *Weights) SetColumns(from int, part []float32) {
	for k := from; len(part) > 0; k++ {
		row := w.mem[k%w.streams*w.apart+k/w.streams*4*w.columns:]
		for n := 0; n < w.N; n += w.columns {
			put := row[n/w.columns*w.part:]
			for i, v := range part[n:min(n+w.columns, w.N)] {
				binary.LittleEndian.PutUint32(put[4*i:], math.Float32bits(v))
			}
		}
		part = part[w.N:]
	}
}

// SetRows sets float32 weights W[from:], of which part holds [n][K].
func (w *Weights) SetRows(from int, part []float32) {
	for n := from; len(part) > 0; n++ {
		put := w.mem[n/w.columns*w.part+4*(n%w.columns):]
		for k, v := range part[:w.K] {
			binary.LittleEndian.PutUint32(put[k%w.streams*w.apart+k/w.streams*4*w.columns:], math.Float32bits(v))
		}
		part = part[w.K:]
	}
}

// SetCodes sets weights scale * (code - zero) of rows W[from:] from the layout of
// onnxruntime's MatMulNBits: codes [n][K*Bits/8], of 4 bits the first of two in the
// low half of a byte; scales [n][K/Block]; zeros [n] rows of Bits each, rounded up to
// bytes.
func (w *Weights) SetCodes(from int, codes []byte, scales []float32, zeros []byte) {
	blocks := w.K / w.Block
	rowBytes, zeroBytes := w.K*w.Bits/8, (blocks*w.Bits+7)/8
	for n := from; len(codes) > 0; n++ {
		panel, column := n/w.columns, n%w.columns
		side := w.mem[panel*w.side:][:w.side]
		for b, scale := range scales[:blocks] {
			side[b*w.columns+column] = code(zeros, b, w.Bits)
			binary.LittleEndian.PutUint32(side[w.side-4*(w.columns*(blocks-b)-column):], math.Float32bits(scale))
		}
		streams := w.mem[w.sides+panel*w.part+4*column:]
		for i := 0; i < rowBytes; i += 4 {
			four := binary.LittleEndian.Uint32(codes[i:])
			if w.Bits == 4 { // eight codes, of two steps
				four = spread(four&0xffff) | spread(four>>16)<<4
			}
			row := i / 4
			binary.LittleEndian.PutUint32(streams[row%w.streams*w.apart+row/w.streams*4*w.columns:], four)
		}
		codes, scales, zeros = codes[rowBytes:], scales[blocks:], zeros[zeroBytes:]
	}
}

// code is number i of packed codes.
func code(packed []byte, i, bits int) byte {
	if bits == 8 {
		return packed[i]
	}
	return packed[i/2] >> (4 * (i % 2)) & 15
}

// spread gives each of four 4-bit numbers a byte.
func spread(x uint32) uint32 {
	x = (x | x<<8) & 0x00ff00ff
	return (x | x<<4) & 0x0f0f0f0f
}

//go:build cgo

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exact is y of the token that sees slots of a row, by the definition, in float64; q is
// [heads, dim], turned.
func (l layer) exact(q []float64, row int, slots []int) []float64 {
	var y []float64
	for h := range l.heads {
		at := (row*l.kvHeads + h*l.kvHeads/l.heads) * l.room * l.dim
		p := make([]float64, len(slots))
		sum := 0.0
		for i, slot := range slots {
			for d := range l.dim {
				p[i] += q[h*l.dim+d] * float64(l.keys[at+slot*l.dim+d])
			}
			p[i] = math.Exp(p[i] * float64(l.scale))
			sum += p[i]
		}
		for d := range l.dim {
			v := 0.0
			for i, slot := range slots {
				v += p[i] / sum * float64(l.values[at+slot*l.dim+d])
			}
			y = append(y, v)
		}
	}
	return y
}

// turned turns heads by the angles of a position.
func (l layer) turned(x []float32, pos int) []float64 {
	y := make([]float64, len(x))
	for h := 0; h < len(x); h += l.dim {
		for i := range l.dim / 2 {
			cos, sin := float64(l.cos[pos*l.dim/2+i]), float64(l.sin[pos*l.dim/2+i])
			u, v := float64(x[h+i]), float64(x[h+l.dim/2+i])
			y[h+i], y[h+l.dim/2+i] = u*cos-v*sin, v*cos+u*sin
		}
	}
	return y
}

// TestAttention runs passes over the trees of some rows: each takes some tokens of some
// branches, which go on from any token of their row. Every token's answer is the exact
// one, and bit for bit what it is when its segment is run alone.
func TestAttention(t *testing.T) {
	for _, c := range [][3]int{{4, 2, 16}, {3, 1, 48}, {9, 3, 64}, {4, 4, 64}, {8, 2, 128}, {2, 1, 256}} {
		t.Run(fmt.Sprintf("%d heads of %d on %d", c[0], c[2], c[1]), func(t *testing.T) {
			if Attention(c[2]) == nil {
				t.Skip("this machine has no kernel")
			}
			const rows, room, positions = 3, 400, 400
			rng := rand.New(rand.NewPCG(9, 9))
			l := layer{heads: c[0], kvHeads: c[1], dim: c[2], room: room, scale: float32(1 / math.Sqrt(float64(c[2])))}
			l.keys, l.values = make([]float32, rows*l.kvHeads*room*l.dim), make([]float32, rows*l.kvHeads*room*l.dim)
			for pos := range positions {
				for i := range l.dim / 2 {
					angle := float64(pos) * math.Pow(10000, -2*float64(i)/float64(l.dim))
					l.cos, l.sin = append(l.cos, float32(math.Cos(angle))), append(l.sin, float32(math.Sin(angle)))
				}
			}
			var used [rows]int
			paths := [rows][][]int{{nil}, {nil}, {nil}} // of every token so far, its own slot last
			for pass := range 12 {
				l.segments, l.slots, l.qkv, l.positions = nil, nil, nil, nil
				var seen [][]int // by token
				var of []int     // its row
				for row := range rows {
					for range rng.IntN(4) {
						from := paths[row][rng.IntN(len(paths[row]))]
						g := segment{row: int32(row), write: int32(used[row]), n: int32(1 + rng.IntN(1+pass%3*18)), path: int32(len(from)), at: int32(len(l.slots))}
						if used[row]+int(g.n) > room {
							continue
						}
						if len(from) == 0 || from[len(from)-1] == len(from)-1 {
							g.at = -1
						} else {
							for _, slot := range from {
								l.slots = append(l.slots, int32(slot))
							}
						}
						l.segments = append(l.segments, g)
						for range g.n {
							l.positions = append(l.positions, int64(len(from)))
							from = append(slices.Clone(from), used[row])
							seen, of = append(seen, from), append(of, row)
							used[row]++
						}
					}
				}
				if len(seen) == 0 {
					continue
				}
				width := (l.heads + 2*l.kvHeads) * l.dim
				l.qkv = normal(rng, len(seen)*width)
				before := [2][]float32{slices.Clone(l.keys), slices.Clone(l.values)}
				y := l.attend()
				per := l.heads * l.dim
				for token, slots := range seen {
					want := l.exact(l.turned(l.qkv[token*width:token*width+per], int(l.positions[token])), of[token], slots)
					for i, v := range want {
						if got := y[token*per+i]; math.Abs(float64(got)-v) > 2e-5 {
							t.Fatalf("pass %d, token %d of %d that sees %d slots: y[%d] = %v, want %v", pass, token, len(seen), len(slots), i, got, v)
						}
					}
					paths[of[token]] = append(paths[of[token]], slots)
				}
				token := 0
				for _, g := range l.segments {
					alone := l
					alone.keys, alone.values = slices.Clone(before[0]), slices.Clone(before[1])
					alone.segments, alone.positions = []segment{g}, l.positions[token:token+int(g.n)]
					alone.qkv = l.qkv[token*width : (token+int(g.n))*width]
					if got := alone.attend(); !slices.Equal(got, y[token*per:(token+int(g.n))*per]) {
						t.Fatalf("pass %d: a segment of %d tokens alone answers otherwise", pass, g.n)
					}
					token += int(g.n)
				}
			}
			if slices.Min(used[:]) < 50 {
				t.Errorf("only %v slots were used", used)
			}
		})
	}
}

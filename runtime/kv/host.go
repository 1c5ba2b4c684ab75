package kv

// Allocator hands out zeroed memory.
type Allocator interface {
	Alloc(bytes int) ([]byte, error)
	Free([]byte)
}

// GoMemory allocates from Go's heap.
type GoMemory struct{}

// Alloc returns a new slice.
func (GoMemory) Alloc(bytes int) ([]byte, error) { return make([]byte, bytes), nil }

// Free leaves the slice to the collector.
func (GoMemory) Free([]byte) {}

// Host is a Store in the memory of an Allocator.
type Host struct {
	shape        Shape
	mem          Allocator
	rows, tokens int
	data         [][]byte // by tensor: [rows, K, tokens, D] elements
}

// NewHost returns a store without room.
func NewHost(shape Shape, mem Allocator) *Host {
	return &Host{shape: shape, mem: mem, data: make([][]byte, shape.Tensors)}
}

// Tokens is M, the room of each row.
func (h *Host) Tokens() int { return h.tokens }

// View is the memory of rows [lo, hi) of one tensor, valid until the next Resize.
func (h *Host) View(tensor, lo, hi int) []byte {
	row := h.shape.Heads * h.headBytes(h.tokens)
	return h.data[tensor][lo*row : hi*row]
}

// Resize implements Store; a failure changes nothing. All new tensors are asked
// for first, then filled one by one as the old ones are given back: fresh pages
// cost nothing until they are touched, so old and new never both fill memory.
func (h *Host) Resize(rows, tokens int, used []int) error {
	size, err := h.shape.TensorBytes(rows, tokens)
	if err != nil {
		return err
	}
	grown := make([][]byte, len(h.data))
	for t := range grown {
		if size == 0 {
			break
		}
		if grown[t], err = h.mem.Alloc(size); err != nil {
			for _, g := range grown[:t] {
				h.mem.Free(g)
			}
			return err
		}
	}
	for t, old := range h.data {
		for row := range min(len(used), rows, h.rows) {
			for head := range h.shape.Heads {
				from := (row*h.shape.Heads + head) * h.headBytes(h.tokens)
				to := (row*h.shape.Heads + head) * h.headBytes(tokens)
				copy(grown[t][to:], old[from:from+h.headBytes(used[row])])
			}
		}
		if old != nil {
			h.mem.Free(old)
		}
		h.data[t] = grown[t]
	}
	h.rows, h.tokens = rows, tokens
	return nil
}

// Copy implements Store.
func (h *Host) Copy(dst, src, tokens int) error {
	n := h.headBytes(tokens)
	for _, data := range h.data {
		for head := range h.shape.Heads {
			copy(data[h.offset(dst, head):][:n], data[h.offset(src, head):][:n])
		}
	}
	return nil
}

// Swap implements Store.
func (h *Host) Swap(a, b, tokens int) error {
	n := h.headBytes(tokens)
	var block [1 << 12]byte
	for _, data := range h.data {
		for head := range h.shape.Heads {
			x, y := data[h.offset(a, head):][:n], data[h.offset(b, head):][:n]
			for len(x) > 0 {
				k := copy(block[:], x)
				copy(x[:k], y)
				copy(y, block[:k])
				x, y = x[k:], y[k:]
			}
		}
	}
	return nil
}

// Pick implements Store.
func (h *Host) Pick(dst, src int, tokens []int) error {
	runs := Runs(tokens)
	for _, data := range h.data {
		for head := range h.shape.Heads {
			to, from := data[h.offset(dst, head):], data[h.offset(src, head):]
			for _, r := range runs {
				if dst != src || r.To != r.From {
					copy(to[h.headBytes(r.To):], from[h.headBytes(r.From):][:h.headBytes(r.N)])
				}
			}
		}
	}
	return nil
}

// headBytes is the memory of tokens tokens of one head.
func (h *Host) headBytes(tokens int) int { return tokens * h.shape.Dim * h.shape.Elem }

func (h *Host) offset(row, head int) int {
	return (row*h.shape.Heads + head) * h.headBytes(h.tokens)
}

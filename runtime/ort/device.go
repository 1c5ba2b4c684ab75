//go:build cgo

package ort

import (
	"errors"
	"fmt"

	"github.com/oreo-go/oreo/runtime/kv"
)

// deviceCache is a kv.Store in the memory of a device. Nothing of it comes to the
// host: rows are copied where they lie.
type deviceCache struct {
	shape        kv.Shape
	mem          *arena
	rows, tokens int
	data         []uintptr // by tensor: [rows, K, tokens, D] elements
	blank        uintptr   // blankBytes zeros
}

// blankBytes is the size of the zeros that new memory is filled from.
const blankBytes = 1 << 20

func newDeviceCache(shape kv.Shape, mem *arena) (*deviceCache, error) {
	c := &deviceCache{shape: shape, mem: mem, data: make([]uintptr, shape.Tensors)}
	host, err := hostPlace()
	if err != nil {
		return nil, err
	}
	defer host.free()
	zeros, err := cMemory{}.Alloc(blankBytes)
	if err != nil {
		return nil, err
	}
	defer cMemory{}.Free(zeros)
	if c.blank, err = mem.alloc(blankBytes); err != nil {
		return nil, err
	}
	if err := copySpans(mem.place, host, []span{newSpan(c.blank, address(zeros), blankBytes)}); err != nil {
		return nil, errors.Join(err, mem.dealloc(c.blank))
	}
	return c, nil
}

func (c *deviceCache) memory(tensor, lo, hi int) (at uintptr, bytes int) {
	row := c.shape.Heads * c.headBytes(c.tokens)
	return c.data[tensor] + uintptr(lo*row), (hi - lo) * row
}

func (c *deviceCache) room() int    { return c.tokens }
func (c *deviceCache) place() place { return c.mem.place }

// free gives everything back.
func (c *deviceCache) free() error {
	err := errors.Join(c.drop(), c.mem.dealloc(c.blank))
	c.mem.free()
	return err
}

// Resize implements kv.Store; a failure changes nothing. Old and new memory are
// held together for the time of the copy. New memory is zero: what a mask hides
// must be numbers all the same.
func (c *deviceCache) Resize(rows, tokens int, used []int) error {
	size, err := c.shape.TensorBytes(rows, tokens)
	if err != nil {
		return err
	}
	grown := &deviceCache{shape: c.shape, mem: c.mem, rows: rows, tokens: tokens, data: make([]uintptr, len(c.data)), blank: c.blank}
	if size > 0 {
		if err := grown.fill(size); err != nil {
			return errors.Join(err, grown.drop())
		}
	}
	var spans []span
	for row := range min(len(used), rows, c.rows) {
		spans = c.spans(spans, grown.row(row), c.row(row), kv.Run{N: used[row]})
	}
	if err := copySpans(c.place(), c.place(), spans); err != nil {
		return errors.Join(err, grown.drop())
	}
	err = c.drop()
	c.rows, c.tokens, c.data = rows, tokens, grown.data
	return err
}

// fill allocates all tensors, of size bytes each, with zeros in them.
func (c *deviceCache) fill(size int) (err error) {
	var spans []span
	for t := range c.data {
		if c.data[t], err = c.mem.alloc(size); err != nil {
			return fmt.Errorf("no memory for %d bytes: %w", size, err)
		}
		for at := 0; at < size; at += blankBytes {
			spans = append(spans, newSpan(c.data[t]+uintptr(at), c.blank, min(blankBytes, size-at)))
		}
	}
	return copySpans(c.place(), c.place(), spans)
}

// drop gives the memory of all tensors back.
func (c *deviceCache) drop() (err error) {
	for _, at := range c.data {
		err = errors.Join(err, c.mem.dealloc(at))
	}
	return err
}

// Copy implements kv.Store.
func (c *deviceCache) Copy(dst, src, tokens int) error {
	return c.move(c.row(dst), c.row(src), kv.Run{N: tokens})
}

// Swap implements kv.Store.
func (c *deviceCache) Swap(a, b, tokens int) error {
	return c.withScratch(tokens, func(scratch row) error {
		all := kv.Run{N: tokens}
		err := c.move(scratch, c.row(a), all)
		if err == nil {
			err = c.move(c.row(a), c.row(b), all)
		}
		if err == nil {
			err = c.move(c.row(b), scratch, all)
		}
		return err
	})
}

// Pick implements kv.Store.
func (c *deviceCache) Pick(dst, src int, tokens []int) error {
	runs := kv.Runs(tokens)
	if dst != src {
		return c.move(c.row(dst), c.row(src), runs...)
	}
	if len(runs) > 0 && runs[0].From == 0 {
		runs = runs[1:] // it stays where it is
	}
	if len(runs) == 0 {
		return nil
	}
	// A run may overlap the place it moves to.
	return c.withScratch(len(tokens), func(scratch row) error {
		if err := c.move(scratch, c.row(src), runs...); err != nil {
			return err
		}
		back := kv.Run{To: runs[0].To, From: runs[0].To, N: len(tokens) - runs[0].To}
		return c.move(c.row(src), scratch, back)
	})
}

// row finds the first token of a tensor's head.
type row func(tensor, head int) uintptr

func (c *deviceCache) row(slot int) row {
	return func(tensor, head int) uintptr {
		return c.data[tensor] + uintptr((slot*c.shape.Heads+head)*c.headBytes(c.tokens))
	}
}

// withScratch lends a row of so many tokens.
func (c *deviceCache) withScratch(tokens int, use func(row) error) error {
	scratch := &deviceCache{shape: c.shape, mem: c.mem, tokens: tokens}
	at, err := c.mem.alloc(tokens * c.shape.TokenBytes())
	if err != nil {
		return err
	}
	tensor := uintptr(c.shape.Heads * c.headBytes(tokens))
	for t := range uintptr(c.shape.Tensors) {
		scratch.data = append(scratch.data, at+t*tensor)
	}
	return errors.Join(use(scratch.row(0)), c.mem.dealloc(at))
}

// move copies runs of tokens from one row to another.
func (c *deviceCache) move(to, from row, runs ...kv.Run) error {
	return copySpans(c.place(), c.place(), c.spans(nil, to, from, runs...))
}

// spans adds the memory of runs of tokens to what is to be copied.
func (c *deviceCache) spans(spans []span, to, from row, runs ...kv.Run) []span {
	for _, r := range runs {
		if r.N == 0 {
			continue
		}
		for t := range c.shape.Tensors {
			for head := range c.shape.Heads {
				spans = append(spans, newSpan(to(t, head)+uintptr(c.headBytes(r.To)), from(t, head)+uintptr(c.headBytes(r.From)), c.headBytes(r.N)))
			}
		}
	}
	return spans
}

// headBytes is the memory of tokens tokens of one head.
func (c *deviceCache) headBytes(tokens int) int { return tokens * c.shape.Dim * c.shape.Elem }

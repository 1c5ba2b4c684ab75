package grammar

import (
	"fmt"

	"github.com/oreo-go/oreo/runtime/sample"
)

// Texts are those of a list, in the tokens that their tokenizer gives them. They
// are safe for concurrent use.
type Texts struct {
	words int
	root  *branch
}

// branch is where texts with the same tokens so far part.
type branch struct {
	next    map[int]*branch
	allowed []uint64
}

// Choices allows each of texts as encode reads it. size is the vocabulary's, and
// ends are the tokens that may end a text of which others are a continuation.
func Choices(texts []string, size int, ends []int, encode func(string) []int) (*Texts, error) {
	c := &Texts{words: (size + 63) / 64}
	c.root = c.branch()
	if len(texts) == 0 {
		return nil, fmt.Errorf("grammar: no texts to choose from")
	}
	for i, text := range texts {
		ids := encode(text)
		if len(ids) == 0 {
			return nil, fmt.Errorf("grammar: text %d of %d is empty", i+1, len(texts))
		}
		at := c.root
		for _, id := range ids {
			if id < 0 || id >= size {
				return nil, fmt.Errorf("grammar: text %q has token %d, the vocabulary %d", text, id, size)
			}
			if at.next[id] == nil {
				at.next[id] = c.branch()
				at.allow(id)
			}
			at = at.next[id]
		}
		for _, id := range ends {
			at.allow(id)
		}
	}
	return c, nil
}

func (c *Texts) branch() *branch {
	return &branch{next: map[int]*branch{}, allowed: make([]uint64, c.words)}
}

func (b *branch) allow(id int) {
	if id/64 < len(b.allowed) {
		b.allowed[id/64] |= 1 << (id % 64)
	}
}

// New returns a walk from the start of a text, of use to one answer.
func (c *Texts) New() sample.Constraint { return &choice{c.root} }

// choice is a text under way.
type choice struct{ at *branch } // nil once it is none of them

// Allowed implements sample.Constraint.
func (c *choice) Allowed() []uint64 {
	if c.at == nil {
		return nil
	}
	return c.at.allowed
}

// Accept implements sample.Constraint.
func (c *choice) Accept(id int) {
	if c.at != nil {
		c.at = c.at.next[id]
	}
}

// Complete implements sample.Constraint.
func (c *choice) Complete() bool { return c.at != nil && len(c.at.next) == 0 }

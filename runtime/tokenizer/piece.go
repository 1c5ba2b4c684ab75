package tokenizer

import "unicode/utf8"

// piece is a part of the text on its way through the pipeline.
type piece struct {
	text string
	// origin[i] is the span, in bytes of the original text, of the character that text[i] came from; nil when offsets are not wanted.
	origin [][2]int
	first  bool // the piece begins where the original text begins
}

// identityOrigin maps every byte of text to the character it is part of.
func identityOrigin(text string) [][2]int {
	origin := make([][2]int, len(text))
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRuneInString(text[i:])
		for k := range n {
			origin[i+k] = [2]int{i, i + n}
		}
		i += n
	}
	return origin
}

func (p piece) cut(start, end int) piece {
	c := piece{text: p.text[start:end], first: p.first && start == 0}
	if p.origin != nil {
		c.origin = p.origin[start:end]
	}
	return c
}

// span is the part of the original text behind bytes [start, end) of the piece.
func (p piece) span(start, end int) [2]int {
	if start >= end || end > len(p.origin) {
		return [2]int{}
	}
	return [2]int{p.origin[start][0], p.origin[end-1][1]}
}

// prepend puts s before the text; its bytes share the origin of the first character. An empty piece stays empty.
func (p piece) prepend(s string) piece {
	if p.text == "" {
		return p
	}
	if p.origin != nil {
		origin := make([][2]int, 0, len(s)+len(p.origin))
		for range len(s) {
			origin = append(origin, p.origin[0])
		}
		p.origin = append(origin, p.origin...)
	}
	p.text = s + p.text
	return p
}

// pieceBuilder writes the text of a piece anew and keeps the origins in step.
type pieceBuilder struct {
	from   piece
	text   []byte
	origin [][2]int
}

func (p piece) rewrite() *pieceBuilder {
	b := &pieceBuilder{from: p, text: make([]byte, 0, len(p.text)+8)}
	if p.origin != nil {
		b.origin = make([][2]int, 0, len(p.text)+8)
	}
	return b
}

// keep copies bytes [start, end) of the old text.
func (b *pieceBuilder) keep(start, end int) {
	b.text = append(b.text, b.from.text[start:end]...)
	if b.from.origin != nil {
		b.origin = append(b.origin, b.from.origin[start:end]...)
	}
}

// put writes s in place of a character of the old text that owns byte at.
func (b *pieceBuilder) put(s string, at int) {
	b.text = append(b.text, s...)
	if b.from.origin == nil {
		return
	}
	var span [2]int
	if at >= 0 && at < len(b.from.origin) {
		span = b.from.origin[at]
	}
	for range len(s) {
		b.origin = append(b.origin, span)
	}
}

func (b *pieceBuilder) piece() piece {
	return piece{text: string(b.text), origin: b.origin, first: b.from.first}
}

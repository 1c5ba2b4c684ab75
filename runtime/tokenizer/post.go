package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// postProcessor adds tokens around a text and trims white space off offsets.
type postProcessor struct {
	prefix, suffix []int
	trimOffsets    bool
	prefixSpace    bool // a space that may have been put before the text is not trimmed
}

// trim moves the offsets of byte-level tokens inwards past the spaces they begin and end with.
func (p postProcessor) trim(t *Tokenizer, e *encoding) {
	if !p.trimOffsets {
		return
	}
	for i, id := range e.ids {
		token := t.tokens[id]
		leading, trailing := 0, 0
		for _, r := range token {
			if !isSpelledSpace(r) {
				break
			}
			leading++
		}
		for s := token; s != ""; trailing++ {
			r, n := utf8.DecodeLastRuneInString(s)
			if !isSpelledSpace(r) {
				break
			}
			s = s[:len(s)-n]
		}
		span := &e.offsets[i]
		if leading > 0 && p.prefixSpace && (i == 0 || span[0] == 0) {
			leading--
		}
		span[0] = min(span[0]+leading, span[1])
		if span[1] >= trailing {
			span[1] = max(span[1]-trailing, span[0])
		}
	}
}

func isSpelledSpace(r rune) bool { return r == 'Ġ' || unicode.IsSpace(r) }

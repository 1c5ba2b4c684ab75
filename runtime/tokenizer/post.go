package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// postProcessor adds tokens around a text and trims white space off offsets.
type postProcessor struct {
	prefix, suffix []int
	trimOffsets    bool
	prefixSpace    bool // a lone space before the text may have been put there and is not trimmed
}

// trim moves the offsets of byte-level tokens inwards, past as many characters of text as the token has spaces at that end.
func (p postProcessor) trim(t *Tokenizer, text string, e *encoding) {
	if !p.trimOffsets {
		return
	}
	for i, id := range e.ids {
		token := t.tokens[id]
		if _, added := t.added.byID[id]; added { // it may have taken spaces from its neighbours
			token = text[e.offsets[i][0]:e.offsets[i][1]]
		}
		inner := strings.TrimLeftFunc(token, isSpelledSpace)
		leading := utf8.RuneCountInString(token) - utf8.RuneCountInString(inner)
		trailing := utf8.RuneCountInString(token) - utf8.RuneCountInString(strings.TrimRightFunc(token, isSpelledSpace))
		span := &e.offsets[i]
		if leading == 1 && p.prefixSpace && (i == 0 || span[0] == 0) {
			leading = 0 // more than one were in the text
		}
		for ; leading > 0 && span[0] < span[1]; leading-- {
			_, n := utf8.DecodeRuneInString(text[span[0]:])
			span[0] += n
		}
		if trailing > utf8.RuneCountInString(text[max(0, span[1]-trailing*utf8.UTFMax):span[1]]) {
			continue // the token has more spaces than there is text
		}
		for ; trailing > 0 && span[1] > span[0]; trailing-- {
			_, n := utf8.DecodeLastRuneInString(text[:span[1]])
			span[1] -= n
		}
	}
}

func isSpelledSpace(r rune) bool { return r == 'Ġ' || unicode.IsSpace(r) }

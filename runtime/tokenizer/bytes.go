package tokenizer

import "strings"

// Bytes returns the bytes that a token adds to a text that is decoded from its
// start; first tells whether the token is the text's first. It is false for
// special tokens and for ids that name none.
func (t *Tokenizer) Bytes(id int, first bool) (string, bool) {
	token, ok := t.Token(id)
	if !ok || t.IsSpecial(id) {
		return "", false
	}
	k := t.decoder
	if k.byteLevel {
		return unspell(token), true
	}
	token = k.rewrite(token, first)
	if k.byteFallback {
		if b, ok := parseByteToken(token); ok {
			return string([]byte{b}), true
		}
	}
	for i := 0; first && i < k.stripLeft; i++ {
		token = strings.TrimPrefix(token, k.stripText)
	}
	return token, true
}
